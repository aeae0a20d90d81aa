"""The workers in the ledger on Redis, as one who scales them sees them."""

from collections.abc import Mapping, Sequence

from redis.asyncio import Redis

from codeforge.ledger import keys
from codeforge.ledger.fleet_port import WorkerLoad
from codeforge.ledger.port import LedgerSnapshot
from codeforge.ledger.rows import worker_of
from codeforge.ledger.scripts import Scripts, answer
from codeforge.ledger.snapshot import live_workers, read_snapshot


class RedisFleetLedger:
    """`FleetLedger` on one Redis."""

    def __init__(self, redis: Redis, *, partitions: int) -> None:
        self._redis = redis
        self._partitions = partitions
        self._scripts = Scripts(redis)

    async def snapshot(self) -> LedgerSnapshot:
        """See `FleetLedger.snapshot`."""
        return await read_snapshot(self._redis, self._partitions)

    async def loads(self) -> Sequence[WorkerLoad]:
        """See `FleetLedger.loads`. Two round trips: a worker's count may be a moment older than its record."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.time()
            pipe.hgetall(keys.WORKERS)
            pipe.zrange(keys.LEASES, 0, -1, withscores=True)
            moment, records, leases = await answer(pipe.execute())
        names = sorted(live_workers(moment, leases) & records.keys())
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.scard(keys.owned(name.decode()))
            counts = await answer(pipe.execute())
        return [
            WorkerLoad(worker_of(name.decode(), records[name]), running)
            for name, running in zip(names, counts, strict=True)
        ]

    async def add_counters(self, deltas: Mapping[str, float]) -> None:
        """See `FleetLedger.add_counters`."""
        await self._scripts.run("add_counters", [part for pair in deltas.items() for part in pair])
