"""Depths and counters of the whole ledger in one round trip."""

from collections.abc import Iterable

from redis.asyncio import Redis

from codeforge.ledger import keys
from codeforge.ledger.port import Exemplar, LedgerSnapshot, QueueDepth
from codeforge.ledger.rows import worker_of
from codeforge.ledger.scripts import answer
from codeforge.worker_types import WorkerType

PER_TYPE = 6


async def read_snapshot(redis: Redis, partitions: int) -> LedgerSnapshot:
    """Reads it. Raises LedgerUnavailable."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.time()
        pipe.hgetall(keys.STATS)
        pipe.hgetall(keys.EXEMPLARS)
        pipe.hgetall(keys.WORKERS)
        pipe.hgetall(keys.HELD)
        pipe.zrange(keys.LEASES, 0, -1, withscores=True)
        for worker_type in WorkerType:
            pipe.zcard(keys.queued(worker_type))
            pipe.zcard(keys.running(worker_type))
            pipe.zcard(keys.delayed(worker_type))
            pipe.zcard(keys.dead(worker_type))
            pipe.zrange(keys.queued(worker_type), 0, 0, withscores=True)
            pipe.zcard(keys.held(worker_type))
        for partition in range(partitions):
            pipe.xlen(keys.outbox(partition))
        pipe.get(keys.OUTBOX_BYTES)
        pipe.xlen(keys.OUTBOX_DEAD)
        replies = await answer(pipe.execute())
    moment, stats, examples, workers, held, leases, *rest, waiting_bytes, letters = replies
    now_ms = _ms(moment)
    slots = _slots(workers, live_workers(moment, leases))
    depths = {}
    for index, worker_type in enumerate(WorkerType):
        queued, running, delayed, dead, oldest, parked = rest[index * PER_TYPE : (index + 1) * PER_TYPE]
        live = slots[worker_type]
        age_s = max(0.0, (now_ms - oldest[0][1]) / 1000) if oldest else 0.0
        by_tenant = int(held.get(worker_type.encode(), 0))
        depths[worker_type] = QueueDepth(
            queued, running, delayed, dead, len(live), sum(live), round(age_s, 3), parked + by_tenant, by_tenant
        )
    return LedgerSnapshot(
        depths,
        sum(rest[len(WorkerType) * PER_TYPE :]),
        {name.decode(): float(value) for name, value in stats.items()},
        outbox_bytes=int(waiting_bytes or 0),
        outbox_dead=letters,
        exemplars={name.decode(): _exemplar(text.decode()) for name, text in examples.items()},
    )


def _exemplar(text: str) -> Exemplar:
    trace_id, value_ms, at_ms = text.split(":")
    return Exemplar(trace_id, float(value_ms), int(at_ms))


def live_workers(moment: tuple[int, int], leases: Iterable[tuple[bytes, float]]) -> set[bytes]:
    """The names of the workers whose leases hold, at what TIME answered."""
    return {name for name, until in leases if until > _ms(moment)}


def _ms(moment: tuple[int, int]) -> float:
    seconds, micros = moment
    return seconds * 1000 + micros / 1000


def _slots(workers: dict[bytes, bytes], alive: set[bytes]) -> dict[WorkerType, list[int]]:
    """Slots of each live worker, by the types that it serves."""
    slots: dict[WorkerType, list[int]] = {worker_type: [] for worker_type in WorkerType}
    for name, text in workers.items():
        if name in alive:
            record = worker_of(name.decode(), text)
            for worker_type in record.types:
                slots[worker_type].append(record.slots)
    return slots
