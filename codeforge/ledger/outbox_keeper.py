"""The outbox on Redis, as an operator sees it."""

from collections.abc import AsyncIterator, Sequence

from redis.asyncio import Redis

from codeforge.ledger import keys
from codeforge.ledger.outbox_port import DeadLetter, OutboxState, PartitionState, Refill, Requeued
from codeforge.ledger.pipelining import Argument
from codeforge.ledger.scripts import Scripts, answer


class RedisOutboxKeeper:
    """`OutboxKeeper` on one Redis."""

    def __init__(self, redis: Redis, *, partitions: int) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)
        self._partitions = partitions

    async def state(self) -> OutboxState:
        """See `OutboxKeeper.state`."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.time()
            pipe.get(keys.OUTBOX_BYTES)
            pipe.xlen(keys.OUTBOX_DEAD)
            for number in range(self._partitions):
                pipe.xlen(keys.outbox(number))
                pipe.xrange(keys.outbox(number), count=1)
                pipe.get(keys.outbox_owner(number))
            (seconds, micros), waiting, letters, *rest = await answer(pipe.execute())
        now_ms = seconds * 1000 + micros / 1000
        partitions = []
        for number in range(self._partitions):
            entries, first, owner = rest[3 * number : 3 * number + 3]
            oldest_s = max(0.0, now_ms - _moment(first[0][0])) / 1000 if first else 0.0
            partitions.append(PartitionState(number, entries, round(oldest_s, 3), owner.decode() if owner else None))
        return OutboxState(partitions, int(waiting or 0), letters)

    async def letters_after(self, after: str, limit: int) -> Sequence[DeadLetter]:
        """See `OutboxKeeper.letters_after`."""
        found = await answer(self._redis.xrange(keys.OUTBOX_DEAD, min=f"({after}" if after else "-", count=limit))
        return [
            DeadLetter(
                letter.decode(),
                fields[b"id"].decode(),
                int(fields[b"fence"]),
                fields[b"reason"].decode(),
                _moment(letter),
            )
            for letter, fields in found
        ]

    async def retry(self, letters: Sequence[DeadLetter]) -> Sequence[Requeued]:
        """See `OutboxKeeper.retry`."""
        return await self._requeued([(letter.id, letter.task_id, letter.fence) for letter in letters])

    async def refill(self) -> AsyncIterator[Refill]:
        """See `OutboxKeeper.refill`."""
        tenants = sorted(raw.decode() for raw in await answer(self._redis.smembers(keys.TENANTS)))
        total = sum([await answer(self._redis.zcard(keys.index(tenant))) for tenant in tenants])
        seen = added = 0
        for tenant in tenants:
            lower = "-"
            while ids := await self._ids(tenant, lower):
                words = await self._requeued([("", task_id, "") for task_id in ids])
                seen, added = seen + len(ids), added + words.count(Requeued.QUEUED)
                yield Refill(seen, max(total, seen), added)
                lower = f"({ids[-1]}"

    async def _ids(self, tenant: str, lower: str) -> Sequence[str]:
        found = await answer(
            self._redis.zrange(keys.index(tenant), lower, "+", bylex=True, offset=0, num=keys.MAX_PER_CALL)
        )
        return [raw.decode() for raw in found]

    async def _requeued(self, tasks: Sequence[tuple[str, str, int | str]]) -> Sequence[Requeued]:
        args: list[Argument] = [self._partitions, keys.OUTBOX_DEAD]
        for task in tasks:
            args += task
        return [Requeued(word.decode()) for word in await self._scripts.run("requeue", args)]


def _moment(entry_id: bytes) -> int:
    """When a stream's entry was made, in milliseconds."""
    return int(entry_id.partition(b"-")[0])
