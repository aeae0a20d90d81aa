"""The outbox on Redis: partitioned streams of finished tasks, each partition with one leased owner.

An entry names a task and the fence that finished it; the result stays in the task's row until it is stored. Entries
are read from the head and removed only when both stores have them, so a projector that dies loses nothing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import ceil
from typing import Any

from redis.asyncio import Redis

from codeforge.ledger import keys
from codeforge.ledger.pipelining import Argument
from codeforge.ledger.port import OutboxEntry
from codeforge.ledger.retention import Retention
from codeforge.ledger.rows import RESULT_FIELDS, call_of, from_values, task_of
from codeforge.ledger.scripts import Scripts, answer
from codeforge.logs import logger
from codeforge.task import TaskState

log = logger(__name__)

MAX_CALLS = 1_000
"""Model calls of one task that are projected."""

TASKS_A_RUN = 50
"""Tasks that one run of a script looks up: it holds up the others who ask for about a millisecond."""

ENDED = (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED, TaskState.DEAD)
"""How tasks end, in the order in which `lua/settle.lua` is told for how long they are kept."""

SPARE = 1.25
"""What is read of each partition, as a multiple of its share of a batch: the oldest are never spread quite evenly."""


@dataclass(frozen=True, slots=True)
class _Head:
    """An entry without its task; `size` are the bytes of the task's input and result."""

    partition: int
    entry_id: str
    task_id: str
    fence: int
    size: int

    @property
    def position(self) -> tuple[int, int, int]:
        return _position(self.partition, self.entry_id)


def _position(partition: int, entry_id: str) -> tuple[int, int, int]:
    """Where an entry stands among those of all partitions; two of them may give the same id, each to its own."""
    return *stream_position(entry_id), partition


def _head(partition: int, entry_id: bytes, fields: Mapping[bytes, bytes]) -> _Head:
    return _Head(
        partition, entry_id.decode(), fields[b"id"].decode(), int(fields[b"fence"]), int(fields.get(b"bytes", b"0"))
    )


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

    async def read(
        self, partitions: Sequence[int], max_entries: int, max_bytes: int, behind: Sequence[OutboxEntry] = ()
    ) -> Sequence[OutboxEntry]:
        """See `Outbox.read`."""
        heads = await self._heads(partitions, max_entries, behind)
        taken, size = 0, 0
        while taken < min(len(heads), max_entries) and (taken == 0 or size < max_bytes):
            size += heads[taken].size
            taken += 1
        return await self._entries(heads[:taken])

    async def _heads(self, partitions: Sequence[int], count: int, behind: Sequence[OutboxEntry]) -> list[_Head]:
        """The oldest of all partitions in their order, `count` if there are so many, and what was read beyond."""
        last = {entry.partition: entry.entry_id for entry in behind}  # they are in order
        share = ceil(count / max(len(partitions), 1) * SPARE)
        found, unread = list[_Head](), list(partitions)
        while unread:
            read = await self._following(unread, last, share)
            last |= {number: heads[-1].entry_id for number, heads in read.items() if heads}
            unread = [number for number, heads in read.items() if len(heads) == share]
            found = sorted(chain(found, *read.values()), key=lambda head: head.position)
            # What was not read is younger than what was read last of its partition.
            if unread and len(found) >= count:
                known = min(_position(number, last[number]) for number in unread)
                if found[count - 1].position <= known:
                    break
        return found

    async def _following(
        self, partitions: Sequence[int], last: Mapping[int, str], count: int
    ) -> Mapping[int, Sequence[_Head]]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for number in partitions:
                pipe.xrange(keys.outbox(number), min=f"({last[number]}" if number in last else "-", count=count)
            replies = await answer(pipe.execute())
        return {
            number: [_head(number, *entry) for entry in entries]
            for number, entries in zip(partitions, replies, strict=True)
        }

    async def _entries(self, heads: Sequence[_Head]) -> Sequence[OutboxEntry]:
        if not heads:
            return []
        replies = await self._looked_up([head.task_id for head in heads])
        entries = []
        for index, head in enumerate(heads):
            row = from_values(RESULT_FIELDS, replies[2 * index])
            task = task_of(row) if "id" in row else None
            # A replay has moved the task on: what this entry spoke of is no longer its outcome.
            current = task if task is not None and task.state.terminal and task.fence == head.fence else None
            calls = [call_of(text) for text in replies[2 * index + 1]]
            entries.append(OutboxEntry(head.partition, head.entry_id, head.task_id, head.fence, current, calls))
        return entries

    async def _looked_up(self, task_ids: Sequence[str]) -> list[Any]:
        """Each task's row and calls, by a script: the driver takes longer over each answer than over what is in it."""
        fields: list[Argument] = [len(RESULT_FIELDS), *RESULT_FIELDS, MAX_CALLS]
        runs = [task_ids[start : start + TASKS_A_RUN] for start in range(0, len(task_ids), TASKS_A_RUN)]
        replies = await asyncio.gather(*(self._scripts.run("look_up", [*fields, *run]) for run in runs))
        return list(chain.from_iterable(replies))

    async def wait(self, partitions: Sequence[int], timeout_s: float) -> None:
        """See `Outbox.wait`. XREAD from 0 answers at once while an entry is there."""
        streams: dict[Any, Any] = {keys.outbox(partition): "0" for partition in partitions}
        await answer(self._blocking.xread(streams, count=1, block=int(timeout_s * 1000)))

    async def settle(self, entries: Sequence[OutboxEntry], rejected: Mapping[str, str]) -> None:
        """See `Outbox.settle`."""
        for partition in sorted({entry.partition for entry in entries}):
            args: list[Argument] = [keys.outbox(partition), keys.OUTBOX_DEAD, keys.MAX_LETTERS]
            args += [self._retention.of(state) for state in ENDED]
            for entry in entries:
                if entry.partition == partition:
                    args += [entry.entry_id, entry.task_id, entry.fence, rejected.get(entry.task_id, "")]
            if trimmed := await self._scripts.run("settle", args):
                log.error("dead_letters_trimmed", letters=trimmed, kept=keys.MAX_LETTERS)

    async def close(self) -> None:
        """Closes its connections."""
        await self._redis.aclose(close_connection_pool=True)
        await self._blocking.aclose(close_connection_pool=True)


def stream_position(entry_id: str) -> tuple[int, int]:
    """A stream's entry id as what orders it: milliseconds, then the number within them."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)
