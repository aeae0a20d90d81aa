"""The ledger in memory, as the front door sees it."""

from collections.abc import Sequence
from dataclasses import replace

from codeforge.errors import (
    IdempotencyConflict,
    LedgerFull,
    NotReplicated,
    OutboxFull,
    StateConflict,
    TaskNotFound,
    UnknownParent,
)
from codeforge.ledger.memory.places import MemoryPlaces
from codeforge.ledger.memory.state import KnownKey, Row
from codeforge.ledger.outbox import stream_position
from codeforge.ledger.port import NOT_CONFIRMED, Idempotency, Submission, TaskFilter, TaskPage
from codeforge.task import NewTask, Task, TaskEvent, TaskFailure, TaskState

MAX_EVENTS_READ = 500
REPLAYABLE = (TaskState.DEAD, TaskState.FAILED, TaskState.CANCELLED)


class MemoryTasks(MemoryPlaces):
    """Submitting, reading, cancelling and replaying."""

    async def submit(self, tasks: Sequence[NewTask], idempotency: Idempotency | None = None) -> Submission:
        """See `Ledger.submit`."""
        await self._reached()
        if self.full:
            raise LedgerFull("the ledger's memory is nearly full; nothing was accepted")
        now, tenant = self.now_ms(), tasks[0].tenant
        known = self._known_key(tenant, idempotency.key) if idempotency else None
        if idempotency and known:
            if known.body_hash != idempotency.body_hash:
                raise IdempotencyConflict("this Idempotency-Key came with another body before")
            if not self.replicated:
                raise NotReplicated(NOT_CONFIRMED)
            return Submission(known.ids, replayed=known.ids[0] != tasks[0].id, created_at=known.made_at)
        for index, task in enumerate(tasks):
            parent = self._row(task.parent_id) if task.parent_id else None
            if task.parent_id and (parent is None or parent.task.tenant != task.tenant):
                raise UnknownParent(index)
        if self._row(tasks[0].id) is None:
            if 0 < self._outbox_max_bytes <= self.outbox_bytes:
                raise OutboxFull("too many results wait for the stores; nothing was accepted")
            self._check_queue(tenant, len(tasks))
        for task in tasks:
            if self._row(task.id) is None:
                self._accept(task)
        ids = [task.id for task in tasks]
        if idempotency:
            self._known[tenant, idempotency.key] = KnownKey(idempotency.body_hash, ids, now)
        if not self.replicated:
            raise NotReplicated(NOT_CONFIRMED)
        return Submission(ids, replayed=False, created_at=now)

    def _known_key(self, tenant: str, key: str) -> KnownKey | None:
        known = self._known.get((tenant, key))
        return known if known and any(self._row(task_id) for task_id in known.ids) else None

    async def knows_key(self, tenant: str, key: str) -> bool:
        """See `Ledger.knows_key`."""
        await self._reached()
        return self._known_key(tenant, key) is not None

    def _accept(self, new: NewTask) -> None:
        now = self.now_ms()
        delay_ms = int(new.delay_s * 1000)
        row = self.rows[new.id] = Row(
            Task(
                id=new.id,
                tenant=new.tenant,
                type=new.type,
                state=TaskState.QUEUED,
                priority=new.priority,
                input=new.input,
                labels=new.labels,
                parent_id=new.parent_id,
                trace=new.trace,
                created_at=now,
                timeout_s=new.timeout_s,
                max_attempts=new.max_attempts,
                budget_tokens=new.budget_tokens,
                not_before=now + delay_ms if delay_ms else None,
            )
        )
        self._index[new.tenant].add(new.id)
        self.counters[f"submitted:{new.type}"] += 1
        self._event(row, "queued", {"state": "queued"})
        if delay_ms:
            self._move(row, "delayed", now + delay_ms)
        else:
            self._enqueue(row)

    async def get(self, tenant: str, task_id: str) -> Task:
        """See `Ledger.get`."""
        await self._reached()
        return self._of(tenant, task_id).task

    def _of(self, tenant: str, task_id: str) -> Row:
        row = self._row(task_id)
        if row is None or row.task.tenant != tenant:
            raise TaskNotFound("no such task")
        return row

    async def list(self, tenant: str, wanted: TaskFilter, limit: int, cursor: str | None) -> TaskPage:
        """See `Ledger.list`."""
        await self._reached()
        found: list[Task] = []
        for task_id in sorted(self._index[tenant], reverse=True):
            row = self._row(task_id)
            if row is not None and (cursor is None or task_id < cursor) and wanted.matches(row.task):
                if len(found) == limit:
                    return TaskPage(found, next_cursor=found[-1].id)
                found.append(replace(row.task, input=b"{}", result=None))
        return TaskPage(found, next_cursor=None)

    async def cancel(self, tenant: str, task_id: str, key: str | None = None) -> TaskState:
        """See `Ledger.cancel`."""
        await self._reached()
        row = self._of(tenant, task_id)
        if key and key in row.cancel_answer:
            return row.cancel_answer[key]
        if row.task.state is TaskState.QUEUED:
            failure = TaskFailure("cancelled", "cancelled by the client before it ran", False)
            self._terminate(row, TaskState.CANCELLED, failure)
        elif row.task.state is TaskState.RUNNING:
            if not row.cancelled:
                row.cancelled = True
                self._event(row, "cancelling", {"state": "running"})
            self._tell(row)
        else:
            raise StateConflict(f"a task that is {row.task.state.value} cannot be cancelled")
        row.cancel_answer = {key: row.task.state} if key else {}
        return row.task.state

    async def replay(self, tenant: str, task_id: str, key: str | None = None) -> TaskState:
        """See `Ledger.replay`."""
        await self._reached()
        row = self._of(tenant, task_id)
        if key and key == row.replay_key:
            return TaskState.QUEUED
        if row.task.state not in REPLAYABLE:
            raise StateConflict(f"a task that is {row.task.state.value} cannot be replayed")
        self._check_queue(tenant, 1)
        row.claim_id, row.cancelled, row.expires_at, row.replay_key = "", False, None, key
        row.outbox_bytes = None  # an entry of the earlier outcome may still wait; it is not projected any more
        row.set(attempts=0, stored=False, error=None, started_at=None, finished_at=None, result=None, progress=None)
        # An outcome is known by its fence: one that is still in the outbox must not pass for the next.
        row.set(fence=row.task.fence + 1, reasons=b"[]", crashes=0)
        self.dead[row.task.type].pop(task_id, None)
        self._enqueue(row)
        self.counters[f"replayed:{row.task.type}"] += 1
        self._event(row, "queued", {"state": "queued", "replay": True})
        return row.task.state

    async def events(self, tenant: str, task_id: str, after: str, block_ms: int) -> Sequence[TaskEvent]:
        """See `Ledger.events`."""
        await self._reached()
        row, position = self._of(tenant, task_id), stream_position(after)

        def found() -> Sequence[TaskEvent]:
            return [event for event in row.events if stream_position(event.id) > position]

        if block_ms:
            await self._until(lambda: bool(found()), block_ms / 1000)
        return found()[:MAX_EVENTS_READ]
