"""Patience with a ledger that is away: what an attempt paid for must not be lost to a short outage."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from codeforge.errors import LedgerUnavailable

T = TypeVar("T")

PATIENCE_S = 60.0
"""Longer than any lease that makes sense: after that, another worker may have the task."""

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


async def patiently(write: Callable[[], Awaitable[T]]) -> T:
    """What `write` returns. While the ledger is away it is repeated after growing, jittered pauses, which every write
    of the ledger allows. Raises LedgerUnavailable when it is still away after `PATIENCE_S` seconds."""
    now = asyncio.get_running_loop().time
    deadline, pause_s = now() + PATIENCE_S, FIRST_PAUSE_S
    while True:
        try:
            return await write()
        except LedgerUnavailable:
            if now() + pause_s > deadline:
                raise
        await asyncio.sleep(random.uniform(pause_s / 2, pause_s))  # noqa: S311 - jitter
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


async def before_cancellation(write: Callable[[], Awaitable[T]]) -> T:
    """As `patiently`, for what was paid for: a cancellation meanwhile is raised after it, and loses nothing. `write`
    begins again then, for every write of the ledger may be repeated."""
    cancellation: asyncio.CancelledError | None = None
    while True:
        try:
            answer = await patiently(write)
        except asyncio.CancelledError as error:
            cancellation = error
        except Exception:
            if cancellation is not None:
                raise cancellation from None
            raise
        else:
            if cancellation is not None:
                raise cancellation
            return answer


async def despite_cancellation(write: Callable[[], Awaitable[T]]) -> T:
    """What `write` returns, for the last that an attempt does: a cancellation meanwhile comes too late, and is dropped.
    `write`, which has a time limit of its own, begins again then."""
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            return await write()
