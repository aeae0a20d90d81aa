"""Tasks that the ledger says this worker runs, and that it does not.

A worker lives on through a ledger that lost its last second: what it handed in there is undone, and the task runs again
on paper. The same is left by a claim or an outcome whose answer never arrived. Nobody else may touch such a task while
the worker renews its lease, so the worker itself hands it back.
"""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress

from codeforge.errors import LedgerUnavailable, StaleClaim
from codeforge.ledger.port import Ledger
from codeforge.logs import logger
from codeforge.task import Claim

log = logger(__name__)


class StrayWatch:
    """Looks every `period_s` seconds. `running` answers the ids of the tasks that the worker knows of."""

    def __init__(self, ledger: Ledger, worker: str, running: Callable[[], Collection[str]], period_s: float) -> None:
        self._ledger = ledger
        self._worker = worker
        self._running = running
        self._period_s = period_s
        self._seen: frozenset[Claim] = frozenset()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(self._period_s)
            with suppress(LedgerUnavailable):
                await self.look()

    async def look(self) -> None:
        """Hands back what was astray at the last look already: at one look alone, a claim or an outcome may be on its
        way. Should an answer be later than that, what the attempt writes is refused. Raises LedgerUnavailable."""
        strays = frozenset(await self._ledger.strays(self._worker, self._running()))
        for claim in strays & self._seen:
            if claim.task_id not in self._running():
                log.warning("stray_handed_back", task_id=claim.task_id, fence=claim.fence)
                with suppress(StaleClaim):
                    await self._ledger.hand_back(claim)
        self._seen = strays
