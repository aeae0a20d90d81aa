"""Use case: the reaper. Takes back what dead workers held, promotes what is due, and rings for lost messages."""

import os
import secrets
import socket

from codeforge.background import Background
from codeforge.errors import LedgerUnavailable
from codeforge.ledger.keys import MAX_PER_CALL
from codeforge.ledger.port import ReaperLedger
from codeforge.logs import logger

log = logger(__name__)

PASS_S = 0.5
LEADERSHIP_S = 5.0
FORGET_EVERY = 120
"""Passes between two looks at expired index entries."""


class Reaper:
    """One of several; the leader works, the others wait for its leadership to end. `leads` says which of them this one
    was at its last turn."""

    def __init__(self, ledger: ReaperLedger, background: Background) -> None:
        self._ledger = ledger
        self._background = background
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._passes = 0
        self._forgetting = False
        self.leads = False

    async def turn(self) -> None:
        """One pass, or a pause for one that does not lead. Raises LedgerUnavailable."""
        self.leads = await self._ledger.lead(self._owner, LEADERSHIP_S)
        if not self.leads:
            await self._background.pause(LEADERSHIP_S / 4)
            return
        report = await self._ledger.reap()
        if report.busy:
            log.info(
                "reaped",
                rung=report.rung,
                promoted=report.promoted,
                taken_back=report.taken_back,
                dead=report.dead,
                timed_out=report.timed_out,
                released=report.released,
            )
        self._passes += 1
        if self._forgetting or self._passes % FORGET_EVERY == 0:
            self._forgetting = await self._ledger.forget() >= MAX_PER_CALL
        if not (report.promoted or report.taken_back or report.released):
            await self._background.pause(PASS_S)

    async def step_down(self) -> None:
        """Lets another reaper lead at once; without a ledger, its leadership runs out by itself."""
        try:
            await self._ledger.step_down(self._owner)
        except LedgerUnavailable as error:
            log.warning("leadership_not_given_up", error=error.message)
