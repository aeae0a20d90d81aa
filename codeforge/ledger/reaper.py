"""The reaper's view of the ledger on Redis."""

from redis.asyncio import Redis

from codeforge.identity import made_at_ms
from codeforge.ledger import keys
from codeforge.ledger.admission import NO_CAPS, Caps, constants
from codeforge.ledger.bells import Bells
from codeforge.ledger.port import ReapReport
from codeforge.ledger.scripts import Scripts, answer
from codeforge.worker_types import WorkerType

RING_GRACE_MS = 3_000
"""How long a task waits before its message counts as lost; doubles with each ring."""

RING_LONGEST_MS = 60_000
RING_SUSPECT_MS = 10_000
"""The longest pause for suspects: their places are few, and are free again soon."""

OVERDUE_GRACE_MS = 10_000
"""How long past its time a task may run before the reaper ends it for its worker."""

OUTAGE_GAP_MS = 5_000
"""A pause between two passes that is longer than this was an outage of the ledger."""


class RedisReaperLedger:
    """`ReaperLedger` on one Redis."""

    def __init__(
        self,
        redis: Redis,
        bells: Bells,
        *,
        partitions: int,
        lease_s: float,
        shortest_retention_s: int = 0,
        caps: Caps = NO_CAPS,
    ) -> None:
        """What is younger than `shortest_retention_s` seconds is not looked at for having expired."""
        self._redis = redis
        self._retention_ms = shortest_retention_s * 1000
        self._looked_at: dict[str, int] = {}
        self._scripts = Scripts(redis, constants(caps, bells))
        self._partitions = partitions
        self._lease_ms = int(lease_s * 1000)

    async def lead(self, owner: str, ttl_s: float) -> bool:
        """See `ReaperLedger.lead`."""
        return bool(await self._scripts.run("hold", [keys.REAPER_LEADER, owner, int(ttl_s * 1000)]))

    async def step_down(self, owner: str) -> None:
        """Gives up the leadership, so that another takes over at once."""
        await self._scripts.run("let_go", [keys.REAPER_LEADER, owner])

    async def reap(self) -> ReapReport:
        """See `ReaperLedger.reap`."""
        limit = keys.MAX_PER_CALL
        promoted = rung = timed_out = taken = dead = 0
        judging = await self._scripts.run("begin_pass", [self._lease_ms, OUTAGE_GAP_MS])
        for worker_type in WorkerType:
            if judging:
                timed_out += await self._scripts.run(
                    "reap_overdue", [worker_type.value, limit, OVERDUE_GRACE_MS, self._partitions]
                )
            promoted += await self._scripts.run("promote", [worker_type.value, limit])
            pauses = [RING_GRACE_MS, RING_LONGEST_MS, RING_SUSPECT_MS]
            rung += await self._scripts.run("ring_missing", [worker_type.value, limit, *pauses])
        if judging:
            taken, dead = await self._scripts.run("reap_leases", [limit, self._partitions])
        released = await self._scripts.run("open_gates", [limit])
        return ReapReport(rung, promoted, taken, dead, timed_out, released)

    async def forget(self) -> int:
        """See `ReaperLedger.forget`."""
        seconds, micros = await answer(self._redis.time())
        expired_before = seconds * 1000 + micros // 1000 - self._retention_ms
        tenants = await answer(self._redis.smembers(keys.TENANTS))
        places = [keys.index(raw.decode()) for raw in tenants] + [keys.dead(worker_type) for worker_type in WorkerType]
        return sum([await self._forget_in(place, expired_before) for place in places])

    async def _forget_in(self, place: str, expired_before: int) -> int:
        """One page of one sorted set. The next call goes on behind those that are kept (delayed ones, rejected ones),
        and at the front again once it has come to tasks that are too young to have expired."""
        start = self._looked_at.get(place, 0)
        ids = await answer(self._redis.zrange(place, start, start + keys.MAX_PER_CALL - 1))
        async with self._redis.pipeline(transaction=False) as pipe:
            for task_id in ids:
                pipe.exists(keys.task(task_id.decode()))
            there = await answer(pipe.execute())
        expired = [task_id for task_id, alive in zip(ids, there, strict=True) if not alive]
        if expired:
            await answer(self._redis.zrem(place, *expired))
        at_end = len(ids) < keys.MAX_PER_CALL or made_at_ms(ids[-1].decode()) > expired_before
        self._looked_at[place] = 0 if at_end else start + len(ids) - len(expired)
        return len(expired)
