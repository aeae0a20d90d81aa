"""Lists of tasks, read from a tenant's index, which holds all of its tasks' ids in the order of time."""

from collections.abc import Sequence

from redis.asyncio import Redis

from codeforge.ledger import keys
from codeforge.ledger.port import TaskFilter, TaskPage
from codeforge.ledger.rows import HEAD_FIELDS, SUMMARY_FIELDS, from_values, head_of, task_of
from codeforge.ledger.scripts import answer
from codeforge.task import Task

PAGE_SCAN = 200
"""Rows looked at together, at most, once those that were looked at first were too few for a filtered list."""

MAX_SCANNED = 4_000
"""A list that has looked at so many rows looks at no more."""


class TaskLists:
    """Reads lists. No more rows are looked at first than are wanted, and one that tells whether there is a next page;
    of rows that a filter leaves out no more is read than it looks at. Many clients ask for the last few tasks, or for
    those that run, again and again."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def page(self, tenant: str, wanted: TaskFilter, limit: int, cursor: str | None) -> TaskPage:
        """See `Ledger.list`. Ids sort by time, so the cursor is the last id seen."""
        found: list[Task] = []
        upper = f"({cursor}" if cursor else "+"
        scanned, size = 0, limit + 1
        while scanned < MAX_SCANNED:
            ids = await self._ids_below(tenant, upper, size)
            for task in await self._matching(ids, wanted):
                if len(found) == limit:
                    return TaskPage(found, next_cursor=found[-1].id)
                found.append(task)
            if len(ids) < size:
                return TaskPage(found, next_cursor=None)
            if len(found) == limit:
                return TaskPage(found, next_cursor=found[-1].id)
            upper = f"({ids[-1]}"
            scanned, size = scanned + size, min(4 * size, PAGE_SCAN)
        return TaskPage(found, next_cursor=upper[1:])

    async def _ids_below(self, tenant: str, upper: str, size: int) -> Sequence[str]:
        index = keys.index(tenant)
        raw = await answer(self._redis.zrange(index, upper, "-", desc=True, bylex=True, offset=0, num=size))
        return [task_id.decode() for task_id in raw]

    async def _matching(self, ids: Sequence[str], wanted: TaskFilter) -> Sequence[Task]:
        if wanted.narrows:
            heads = map(head_of, await self._values(ids, HEAD_FIELDS))
            ids = [task_id for task_id, head in zip(ids, heads, strict=True) if head and wanted.matches(head)]
        rows = await self._values(ids, SUMMARY_FIELDS)
        tasks = [task_of(from_values(SUMMARY_FIELDS, row)) for row in rows if row[0] is not None]
        return [task for task in tasks if wanted.matches(task)]  # it may have changed since its head was read

    async def _values(self, ids: Sequence[str], fields: Sequence[str]) -> Sequence[Sequence[bytes | None]]:
        if not ids:
            return ()
        async with self._redis.pipeline(transaction=False) as pipe:
            for task_id in ids:
                pipe.hmget(keys.task(task_id), list(fields))
            rows: Sequence[Sequence[bytes | None]] = await answer(pipe.execute())
        return rows
