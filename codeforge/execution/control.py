"""What may end an attempt from outside, and when that is safe."""

import asyncio
from enum import StrEnum
from typing import Any

from codeforge.ledger.lease import Lease

LEASE_POLL_S = 0.1


class StopReason(StrEnum):
    """Why a running attempt was told to stop."""

    CANCELLED = "cancelled"
    DRAIN = "drain"
    OVERGROWN = "overgrown"
    """A drain of a process that holds too much memory, for which any of those aboard may be to blame."""


class AttemptControl:
    """Counts the steps in flight, parks new ones while the worker drains or its lease does not hold, and remembers why
    the attempt was stopped.

    A step in flight may be a model call that is being paid for: a drain lets it finish and be journaled, and stops the
    attempt when none is left.
    """

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self.reason: StopReason | None = None
        self._in_flight = 0
        self._task: asyncio.Task[Any] | None = None

    def attach(self) -> None:
        """The calling asyncio task runs the attempt; from here on a stop interrupts it. Raises CancelledError when the
        attempt was told to stop before it began."""
        if self.stopping:
            raise asyncio.CancelledError
        self._task = asyncio.current_task()

    @property
    def stopping(self) -> bool:
        """Whether the attempt was told to stop."""
        return self.reason is not None

    def stop(self, reason: StopReason) -> None:
        """CANCELLED stops at once; the others when no step is in flight."""
        if self.reason is StopReason.CANCELLED:
            return
        self.reason = reason
        if reason is StopReason.CANCELLED or self._in_flight == 0:
            self.cut()

    def cut(self) -> None:
        """Cancels the attempt's task now, if it has begun."""
        if self._task is not None and not self._task.done():
            self._task.cancel()

    def raise_if_cancelled(self) -> None:
        """Raises CancelledError once the client has cancelled, should a library on the way have swallowed the first."""
        if self.reason is StopReason.CANCELLED:
            raise asyncio.CancelledError

    async def __aenter__(self) -> None:
        """Enters a step: not before the lease holds, and never while the attempt stops."""
        self.raise_if_cancelled()
        while not self._lease.holds and not self.stopping:  # noqa: ASYNC110 - it is renewed by another thread
            await asyncio.sleep(LEASE_POLL_S)  # the time limit of the attempt bounds this
        if self.stopping:
            await asyncio.get_running_loop().create_future()
        self._in_flight += 1

    async def __aexit__(self, *_: object) -> None:
        """Leaves a step, journaled or failed."""
        self._in_flight -= 1
        if self.stopping and self._in_flight == 0:
            self.cut()
