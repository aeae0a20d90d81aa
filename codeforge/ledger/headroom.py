"""Room for what must still fit: submissions stop at a part of the server's memory, so that completions never do."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis
from redis.asyncio import Redis

from codeforge.errors import LedgerFull, LedgerUnavailable, SettingsError
from codeforge.ledger.connection import connect_sync
from codeforge.ledger.scripts import answer
from codeforge.logs import logger
from codeforge.settings import PREFIX

log = logger(__name__)

FULL = 0.8
"""Share of `maxmemory` from which on nothing new is accepted."""

MAX_AGE_S = 1.0
START_TIMEOUT_S = 3.0
POLICY = "noeviction"


@dataclass(frozen=True, slots=True)
class Memory:
    """What the server says of its memory, in bytes; a `limit` of 0 is none."""

    used: int
    limit: int
    policy: str


class Headroom:
    """What the server last said of its memory; asked again by the first submission after `max_age_s` seconds, while
    the others go on with what is known: one INFO a second, however many tasks are submitted."""

    def __init__(self, redis: Redis, max_age_s: float = MAX_AGE_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._clock = clock
        self._max_age_s = max_age_s
        self._read_at = float("-inf")
        self._memory: Memory | None = None
        self._looking: asyncio.Task[None] | None = None

    async def check(self) -> None:
        """Raises LedgerFull from 80% of `maxmemory` on; LedgerUnavailable for a server that evicts, or that is away."""
        if self._memory is None:
            await self._first()
        elif self._clock() - self._read_at >= self._max_age_s:
            await self._read()
        self._judge()

    async def _first(self) -> None:
        """One look for all who wait for it, whose failure they share: one after another they would wait for a server
        that stands still, each for as long as those before together and once more."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._read())
            self._looking.add_done_callback(_heard)
        await asyncio.shield(self._looking)

    async def _read(self) -> None:
        self._read_at = self._clock()
        info = await answer(self._redis.info("memory"))
        self._memory = Memory(info["used_memory"], info["maxmemory"], info["maxmemory_policy"])

    def _judge(self) -> None:
        memory = self._memory
        if memory is None or not memory.limit:
            return
        if memory.policy != POLICY:
            raise LedgerUnavailable("the ledger's server drops tasks when its memory is full; nothing was accepted")
        if memory.used >= FULL * memory.limit:
            raise LedgerFull(f"the ledger's memory is filled to {FULL:.0%}; nothing was accepted")


def _heard(task: "asyncio.Task[None]") -> None:
    """All who waited may have left."""
    if not task.cancelled():
        task.exception()


def require_noeviction(address: str) -> None:
    """Looks once, at a process's start. A server that is away is not waited for: it is looked at by every API later.

    Raises SettingsError for one whose `maxmemory-policy` drops tasks.
    """
    try:
        with connect_sync(address, timeout_s=START_TIMEOUT_S) as client:
            policy = client.info("memory")["maxmemory_policy"]  # also where CONFIG is forbidden
    except (redis.RedisError, OSError) as error:
        log.warning("ledger_not_examined", error=type(error).__name__)
        return
    if policy != POLICY:
        text = f"its server has maxmemory-policy {policy}, which drops tasks when memory is full: set {POLICY} there"
        raise SettingsError(f"{PREFIX}REDIS_URL: {text}")
