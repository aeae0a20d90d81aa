"""Port: the ledger, which alone decides what happens to a task. The broker only says "look at this task".

Every method is one atomic transition or read. A transition may be repeated with the same arguments (a lost answer, a
retry of the connection) and then answers as the first time. All raise LedgerUnavailable when the ledger cannot answer
in time; writes of a running task raise StaleClaim when the writer no longer owns it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import orjson

from codeforge.ledger.keys import COMPANY
from codeforge.task import Claim, ModelCall, NewTask, Progress, Task, TaskEvent, TaskFailure, TaskState
from codeforge.worker_types import WorkerType

NOT_CONFIRMED = (
    "the tasks were written, but too few replicas confirmed them in time: they may exist and run. Repeat the request "
    "with the same Idempotency-Key; without one, a repetition makes further tasks"
)


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's key, and the hash of the body that it came with."""

    key: str
    body_hash: str


@dataclass(frozen=True, slots=True)
class Submission:
    """The accepted tasks in the order given; `replayed` when an earlier request with the same key made them.
    `created_at` is when they were made, by the ledger's clock, in milliseconds."""

    ids: Sequence[str]
    replayed: bool
    created_at: int


@dataclass(frozen=True, slots=True)
class TaskHead:
    """What a filter looks at."""

    state: TaskState
    type: WorkerType
    labels: bytes


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """What `GET /tasks` asks for. `labels` are (key, value) pairs; a value of None matches any."""

    state: TaskState | None = None
    type: WorkerType | None = None
    labels: Sequence[tuple[str, str | None]] = ()

    @property
    def narrows(self) -> bool:
        """Whether it leaves anything out."""
        return self.state is not None or self.type is not None or bool(self.labels)

    def matches(self, task: Task | TaskHead) -> bool:
        """Whether the task is one that is wanted."""
        if self.state is not None and task.state is not self.state:
            return False
        if self.type is not None and task.type is not self.type:
            return False
        if not self.labels:
            return True
        labels = orjson.loads(task.labels)
        return all(name in labels and value in (None, labels[name]) for name, value in self.labels)


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Newest first; `next_cursor` is None at the end. Rows are without `input` and `result`."""

    tasks: Sequence[Task]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class ClaimedTask:
    """What a worker gets: the task, its right to write it, and the journal of finished steps (name -> JSON text)."""

    task: Task
    claim: Claim
    journal: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended.

    `succeeded` carries `result` (JSON text) and `counts`, what it adds to counters; `failed`, `retry` and `cancelled`
    may carry `error`. A `retry` waits `retry_delay_s` seconds, or ends `dead` when the attempts are used up.
    """

    kind: Literal["succeeded", "failed", "retry", "cancelled"]
    result: bytes | None = None
    error: TaskFailure | None = None
    retry_delay_s: float = 0.0
    counts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """One live worker process: the types it serves, how many tasks it takes at once, and the host that it runs on: on
    Kubernetes its pod's name."""

    id: str
    types: Sequence[WorkerType]
    slots: int
    host: str = ""


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """One type's figures. `queued` tasks could run if a worker had a slot, `held` ones wait for a cap, `held_by_tenant`
    of those for their tenant's. `oldest_queued_s` is of `queued` ones, 0.0 for none; `workers` and `slots` count live
    leases."""

    queued: int
    running: int
    delayed: int
    dead: int
    workers: int
    slots: int
    oldest_queued_s: float
    held: int = 0
    held_by_tenant: int = 0


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A traced observation of a histogram: its value, and when it was made, in milliseconds."""

    trace_id: str
    value_ms: float
    at_ms: int


@dataclass(frozen=True, slots=True)
class LedgerSnapshot:
    """Exact depths and counters at one moment. `counters` are the fields of `cf:stats`; `outbox_bytes` is what the
    tasks in the outbox hold of inputs and results, `outbox_dead` how many letters lie in the dead-letter stream.
    `exemplars` are the last traced observations, by `<histogram>:<label>:<bucket number>`."""

    depths: Mapping[WorkerType, QueueDepth]
    outbox_entries: int
    counters: Mapping[str, float]
    outbox_bytes: int = 0
    outbox_dead: int = 0
    exemplars: Mapping[str, Exemplar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReapReport:
    """What one reaper pass did: counts of tasks. `released` went on because a cap was raised or lifted."""

    rung: int = 0
    promoted: int = 0
    taken_back: int = 0
    dead: int = 0
    timed_out: int = 0
    released: int = 0

    @property
    def busy(self) -> bool:
        """Whether anything was done, so that the next pass should follow at once."""
        return any((self.rung, self.promoted, self.taken_back, self.dead, self.timed_out, self.released))


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A finished task that awaits its projection. `task` is None when the row is gone or a later
    attempt replaced it."""

    partition: int
    entry_id: str
    task_id: str
    fence: int
    task: Task | None
    calls: Sequence[ModelCall] = field(default_factory=tuple)


class Ledger(Protocol):
    """The front door's and the workers' side."""

    async def submit(self, tasks: Sequence[NewTask], idempotency: Idempotency | None = None) -> Submission:
        """All or none: rows, places in their queues and Celery messages in one step.

        All are of one tenant. Raises IdempotencyConflict, UnknownParent for a parent that the tenant does not have,
        TenantQueueFull when more would wait than it may have, OutboxFull while too much waits to be stored, LedgerFull
        when the memory is nearly full; and, with the tasks written all the same, NotReplicated when too few replicas
        confirm them in time.
        """
        ...

    async def knows_key(self, tenant: str, key: str) -> bool:
        """Whether a submission came with this Idempotency-Key, so that the next one with it makes no tasks."""
        ...

    async def get(self, tenant: str, task_id: str) -> Task:
        """Raises TaskNotFound, for another tenant's task too."""
        ...

    async def list(self, tenant: str, wanted: TaskFilter, limit: int, cursor: str | None) -> TaskPage:
        """One page. A page may be short while `next_cursor` is set: the scan per call is bounded."""
        ...

    async def cancel(self, tenant: str, task_id: str, key: str | None = None) -> TaskState:
        """A queued task ends at once; a running one is told to. The task's last cancellation, repeated with its `key`,
        is answered as the first time, whatever became of the task. Raises TaskNotFound, StateConflict."""
        ...

    async def replay(self, tenant: str, task_id: str, key: str | None = None) -> TaskState:
        """A dead, failed or cancelled task again, journal kept; `key` as of `cancel`. Raises TaskNotFound,
        StateConflict, TenantQueueFull."""
        ...

    async def claim(
        self, task_id: str, worker: str, claim_id: str, *, room: Collection[int] = COMPANY
    ) -> ClaimedTask | None:
        """None when there is nothing to do: not queued, not due, gone, or over a cap, where it costs nothing and the
        task is rung for when there is room; or a suspect, where `room` (numbers of crashes, see keys.COMPANY) says
        that the worker has no place for it now. Raises StaleClaim without a live lease."""
        ...

    async def state_of(self, task_id: str) -> TaskState | None:
        """Whoever's task it is; None for one that is not there."""
        ...

    async def record_step(
        self, claim: Claim, name: str, value: bytes, call: ModelCall | None, *, paid: bool = False
    ) -> None:
        """Journals a finished step and what it cost, at once. `paid`: it was paid for, though no model was called.
        Raises StaleClaim; LedgerFull for a step that was not paid for."""
        ...

    async def begin_call(self, claim: Claim, name: str) -> bool:
        """Marks that a paid call is about to be sent: nothing is paid for under a claim that is not the current one.

        False when an earlier attempt had begun this step too: its answer never reached the journal, so the call may be
        paid for a second time, which is counted. Raises StaleClaim, LedgerFull.
        """
        ...

    async def count_failed_call(self, model: str, code: str, *, own: bool = False) -> None:
        """Counts a model call that failed with this error code, under the model that was asked for, or `default` where
        that has no name yet. A name that no service answered to is `other`, unless it is the operator's `own`."""
        ...

    async def suspect(self, claim: Claim) -> None:
        """Marks the task as one that must run alone. Raises StaleClaim."""
        ...

    async def emit(self, claim: Claim, kind: str, data: bytes) -> None:
        """Adds an event (`data` is a JSON object). Raises StaleClaim."""
        ...

    async def progress(self, claim: Claim, progress: Progress) -> None:
        """Replaces the task's progress and adds an event. Raises StaleClaim."""
        ...

    async def finish(self, claim: Claim, outcome: Outcome) -> TaskState:
        """Ends the attempt; the state and the outbox entry in one step. Raises StaleClaim."""
        ...

    async def hand_back(self, claim: Claim, *, crashed: bool = False) -> None:
        """Back to the queue, no attempt spent; a task that was cancelled meanwhile ends so. `crashed`: because the
        process that ran it broke with others aboard, which some day makes a suspect of it. Raises StaleClaim."""
        ...

    async def renew_lease(self, worker: WorkerRecord, heard: Sequence[str] = ()) -> Sequence[str]:
        """Renews the worker's one lease; answers those of its attempts (`Claim.attempt`) that were cancelled, at most
        500, again each time until they are given as `heard`."""
        ...

    async def strays(self, worker: str, known: Collection[str]) -> Sequence[Claim]:
        """Claims of the worker on tasks other than the `known` ones, at most 500: if it runs none of these, an answer
        of the ledger never arrived, or the ledger lost its last second and with it how they ended."""
        ...

    async def end_lease(self, worker: str) -> None:
        """A worker that stops in order; tasks that it still owns are taken back at the next reaper pass."""
        ...

    async def events(self, tenant: str, task_id: str, after: str, block_ms: int) -> Sequence[TaskEvent]:
        """Events after the stream id `after` ("0" for all), at most 500; waits up to `block_ms` for the first."""
        ...

    async def snapshot(self) -> LedgerSnapshot:
        """Depths and counters."""
        ...

    async def add_counters(self, deltas: Mapping[str, float]) -> None:
        """Adds to counters that are exported as metrics."""
        ...

    async def ping(self) -> None:
        """One round trip."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...


class ReaperLedger(Protocol):
    """The reaper's side: every call handles at most 500 tasks."""

    async def lead(self, owner: str, ttl_s: float) -> bool:
        """Takes or renews the reapers' leadership."""
        ...

    async def step_down(self, owner: str) -> None:
        """Gives up the leadership."""
        ...

    async def reap(self) -> ReapReport:
        """One pass: expired leases, due delays, overdue tasks, missing messages."""
        ...

    async def forget(self) -> int:
        """Drops entries of indexes and dead-letter sets whose tasks have expired, at most 500 from each; answers how
        many. To be called again at once after a full answer."""
        ...


class Outbox(Protocol):
    """The projector's side. A partition has one leased owner; reading does not remove."""

    async def acquire(self, owner: str, ttl_s: float) -> Sequence[int]:
        """Takes or renews a fair share of the partitions, and gives up what is beyond it; answers all that the owner
        holds. None of its entries may be in work."""
        ...

    async def renew(self, owner: str, ttl_s: float) -> None:
        """Renews what the owner holds while its entries are in work."""
        ...

    async def release(self, owner: str) -> None:
        """Gives up all of the owner's partitions."""
        ...

    async def read(
        self, partitions: Sequence[int], max_entries: int, max_bytes: int, behind: Sequence[OutboxEntry] = ()
    ) -> Sequence[OutboxEntry]:
        """The oldest entries with their tasks, about `max_bytes` of results at most but one entry at least; only those
        that follow the entries `behind`, an earlier read of the same partitions, in each partition."""
        ...

    async def wait(self, partitions: Sequence[int], timeout_s: float) -> None:
        """Returns when an entry is there or the time is over."""
        ...

    async def settle(self, entries: Sequence[OutboxEntry], rejected: Mapping[str, str]) -> None:
        """Marks the entries' tasks stored and removes the entries. `rejected` (task id -> reason) go to the
        dead-letter stream instead and stay unstored. Where that holds too many, the oldest letters go, and their tasks
        expire as if they were stored."""
        ...
