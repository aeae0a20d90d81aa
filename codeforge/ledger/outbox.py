"""The outbox on Redis: partitioned streams of finished tasks, each partition with one leased owner.

An entry names a task and the fence that finished it; the result stays in the task's row until it is stored. Entries
are read from the head and removed only when both stores have them, so a projector that dies loses nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from codeforge.ledger import keys
from codeforge.ledger.pipelining import Argument
from codeforge.ledger.port import OutboxEntry
from codeforge.ledger.retention import Retention
from codeforge.ledger.rows import RESULT_FIELDS, call_of, from_values, task_of
from codeforge.ledger.scripts import Scripts, answer

MAX_CALLS = 1_000
"""Model calls of one task that are projected."""


class RedisOutbox:
    """`Outbox` on one Redis."""

    def __init__(self, redis: Redis, blocking: Redis, *, partitions: int, retention: Retention) -> None:
        self._redis = redis
        self._blocking = blocking
        self._scripts = Scripts(redis)
        self._partitions = partitions
        self._retention = retention

    async def acquire(self, owner: str, ttl_s: float) -> Sequence[int]:
        """See `Outbox.acquire`."""
        held: Sequence[int] = await self._scripts.run("acquire", [owner, int(ttl_s * 1000), self._partitions])
        return held

    async def renew(self, owner: str, ttl_s: float) -> None:
        """See `Outbox.renew`."""
        await self._scripts.run("renew", [owner, int(ttl_s * 1000), self._partitions])

    async def release(self, owner: str) -> None:
        """See `Outbox.release`."""
        await self._scripts.run("release", [owner, self._partitions])

    async def read(self, partitions: Sequence[int], max_entries: int, max_bytes: int) -> Sequence[OutboxEntry]:
        """See `Outbox.read`."""
        heads = [head for partition in partitions for head in await self._heads(partition, max_entries)]
        heads = sorted(heads, key=lambda head: stream_position(head[1]))[:max_entries]
        async with self._redis.pipeline(transaction=False) as pipe:
            for _, _, task_id, _ in heads:
                pipe.hstrlen(keys.task(task_id), "result")
                pipe.hstrlen(keys.task(task_id), "input")
            sizes = await answer(pipe.execute()) if heads else []
        taken, size = 0, 0
        while taken < len(heads) and (taken == 0 or size < max_bytes):
            size += sizes[2 * taken] + sizes[2 * taken + 1]
            taken += 1
        return await self._entries(heads[:taken])

    async def _heads(self, partition: int, count: int) -> Sequence[tuple[int, str, str, int]]:
        entries = await answer(self._redis.xrange(keys.outbox(partition), count=count))
        return [
            (partition, entry_id.decode(), fields[b"id"].decode(), int(fields[b"fence"]))
            for entry_id, fields in entries
        ]

    async def _entries(self, heads: Sequence[tuple[int, str, str, int]]) -> Sequence[OutboxEntry]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for _, _, task_id, _ in heads:
                pipe.hmget(keys.task(task_id), list(RESULT_FIELDS))
                pipe.lrange(keys.calls(task_id), 0, MAX_CALLS - 1)
            replies = await answer(pipe.execute()) if heads else []
        entries = []
        for index, (partition, entry_id, task_id, fence) in enumerate(heads):
            row = from_values(RESULT_FIELDS, replies[2 * index])
            task = task_of(row) if "id" in row else None
            # A replay has moved the task on: what this entry spoke of is no longer its outcome.
            current = task if task is not None and task.state.terminal and task.fence == fence else None
            calls = [call_of(text) for text in replies[2 * index + 1]]
            entries.append(OutboxEntry(partition, entry_id, task_id, fence, current, calls))
        return entries

    async def wait(self, partitions: Sequence[int], timeout_s: float) -> None:
        """See `Outbox.wait`. XREAD from 0 answers at once while an entry is there."""
        streams: dict[Any, Any] = {keys.outbox(partition): "0" for partition in partitions}
        await answer(self._blocking.xread(streams, count=1, block=int(timeout_s * 1000)))

    async def settle(self, entries: Sequence[OutboxEntry], rejected: Mapping[str, str]) -> None:
        """See `Outbox.settle`."""
        for partition in sorted({entry.partition for entry in entries}):
            args: list[Argument] = [keys.outbox(partition), keys.OUTBOX_DEAD]
            for entry in entries:
                if entry.partition == partition:
                    args += [entry.entry_id, entry.task_id, entry.fence, self._kept_s(entry)]
                    args.append(rejected.get(entry.task_id, ""))
            await self._scripts.run("settle", args)

    def _kept_s(self, entry: OutboxEntry) -> int:
        return self._retention.default_s if entry.task is None else self._retention.of(entry.task.state)

    async def close(self) -> None:
        """Closes its connections."""
        await self._redis.aclose(close_connection_pool=True)
        await self._blocking.aclose(close_connection_pool=True)


def stream_position(entry_id: str) -> tuple[int, int]:
    """A stream's entry id as what orders it: milliseconds, then the number within them."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)
