"""How fast each tenant may submit: a sliding window in Redis, which all replicas of the front door share."""

import math
import time
from dataclasses import dataclass
from typing import Protocol

from limits import parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from redis.asyncio import Redis

from codeforge.errors import LedgerUnavailable, RateLimited
from codeforge.ledger.keys import PREFIX


@dataclass(frozen=True, slots=True)
class RateState:
    """What is left of `quota` tasks per `window_s` seconds, and in how many seconds there is more."""

    quota: int
    window_s: int
    remaining: int
    reset_s: int


class Rates(Protocol):
    """Port: takes from a tenant's rate. `limited` says whether there is one."""

    limited: bool

    async def take(self, tenant: str, tasks: int) -> RateState | None:
        """What is left after so many tasks, of which there may be none; None where there is no limit.

        Raises RateLimited with what is left, and takes nothing, when they are too many; LedgerUnavailable.
        """
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...


class NoRates:
    """No limit."""

    limited = False

    async def take(self, tenant: str, tasks: int) -> RateState | None:
        """See `Rates.take`."""
        return None

    async def close(self) -> None:
        """Nothing to close."""


class RedisRates:
    """`Rates` on one Redis. The window's time is the server's."""

    limited = True

    def __init__(self, redis: Redis, limit: str) -> None:
        """`limit` is such as `100/minute`."""
        self._redis = redis
        self._limit = parse(limit)
        storage = RedisStorage(
            "async+redis://",  # not read: the connections are ours, with their deadlines, and Sentinel behind them
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix=f"{PREFIX}rate",
            connection_pool=redis.connection_pool,  # type: ignore[arg-type]  # as its documentation has it
        )
        self._limiter = SlidingWindowCounterRateLimiter(storage)

    async def take(self, tenant: str, tasks: int) -> RateState | None:
        """See `Rates.take`."""
        try:
            taken = await self._limiter.hit(self._limit, tenant, cost=tasks)
            stats = await self._limiter.get_window_stats(self._limit, tenant)
        except (StorageError, OSError, TimeoutError) as error:
            raise LedgerUnavailable("the rate limit cannot be read; nothing was accepted") from error
        reset_s = max(1, math.ceil(stats.reset_time - time.time()))
        quota, window_s = self._limit.amount, self._limit.get_expiry()
        if not taken:
            never = "" if tasks <= quota else "; so many at once never fit"
            message = f"at most {quota} tasks in {window_s} s{never}; nothing was accepted"
            raise RateLimited(message, reset_s, quota, window_s, stats.remaining)
        return RateState(quota, window_s, stats.remaining, reset_s)

    async def close(self) -> None:
        """See `Rates.close`."""
        await self._redis.aclose(close_connection_pool=True)
