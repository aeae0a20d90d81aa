"""For how long tests wait."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import redis

PATIENCE_S = 60.0
"""For what should come at once. Where it comes, a long deadline costs nothing; a short one fails a test because the
machine does other things too. Below pytest's own limit, so that a test says what it waited for."""

T = TypeVar("T")


async def once_in_time(call: Callable[[], Awaitable[T]]) -> T:
    """What the call answers, once it does so within its own deadline: a short one, which a busy machine may miss."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await call()
            except (TimeoutError, redis.TimeoutError):
                continue
