"""What the ledger in memory holds, and the moves that its transitions share: `lua/common.lua` in Python."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from codeforge.errors import LedgerFull, LedgerUnavailable, StaleClaim
from codeforge.ledger.admission import NO_CAPS, Caps
from codeforge.ledger.keys import HISTOGRAM_BOUNDS_MS, MAX_MODEL_NAME, MAX_MODELS, UNNAMED_MODEL
from codeforge.ledger.outbox_port import DeadLetter
from codeforge.ledger.port import Exemplar, WorkerRecord
from codeforge.ledger.retention import Retention
from codeforge.task import Claim, ModelCall, Task, TaskEvent, TaskFailure, TaskState
from codeforge.worker_types import WorkerType

Places = dict[WorkerType, dict[str, int]]
"""Task ids by type, each with its score in milliseconds: one of the real ledger's zsets a type."""


@dataclass(frozen=True, slots=True)
class Message:
    """One ring of the broker's doorbell."""

    celery_id: str
    task_id: str


TEN_MINUTES = Retention(600)


@dataclass(slots=True)
class Row:
    """A task and what only the ledger knows of it. `expires_at` is in milliseconds; `outbox_bytes` is what the task
    adds to the outbox's size while an entry of its last outcome waits; `letter` is its last dead letter."""

    task: Task
    claim_id: str = ""
    worker: str = ""
    ended_by: str = ""
    cancelled: bool = False
    rings: int = 0
    rung_at: int | None = None
    place: str = ""
    expires_at: int | None = None
    outbox_bytes: int | None = None
    letter: str = ""
    replay_key: str | None = None
    cancel_answer: dict[str, TaskState] = field(default_factory=dict)
    journal: dict[str, bytes] = field(default_factory=dict)
    begun: dict[str, int] = field(default_factory=dict)
    calls: list[ModelCall] = field(default_factory=list)
    events: list[TaskEvent] = field(default_factory=list)

    def set(self, **changes: Any) -> None:
        """Replaces fields of the task."""
        self.task = replace(self.task, **changes)


@dataclass(frozen=True, slots=True)
class Entry:
    """One outbox entry, before its task is looked up."""

    entry_id: str
    task_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class KnownKey:
    """What an idempotency key stands for, and since when (milliseconds). It is known as long as one of its tasks is."""

    body_hash: str
    ids: Sequence[str]
    made_at: int


def system_clock_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def oldest(places: Mapping[str, int], until_ms: float) -> list[str]:
    """Ids whose score is not after `until_ms`, the lowest first."""
    return sorted((name for name, score in places.items() if score <= until_ms), key=lambda name: (places[name], name))


class MemoryState:
    """The data of one ledger. `down` makes every call raise LedgerUnavailable, as an unreachable server would;
    `full`, or not `replicated`, makes submissions fail as a server with too little memory, or too few replicas, would;
    `overfull` is one that takes no step any more, unless it was paid for.

    Public attributes are for tests that look behind the ledger. `clock_ms` answers milliseconds since the epoch.
    """

    def __init__(
        self,
        *,
        clock_ms: Callable[[], int] = system_clock_ms,
        partitions: int = 4,
        lease_s: float = 15.0,
        retention: Retention = TEN_MINUTES,
        outbox_max_bytes: int = 0,
        caps: Caps = NO_CAPS,
    ) -> None:
        self.caps = caps
        self._clock_ms = clock_ms
        self._instant = clock_ms()
        self.down = False
        self.closed = False
        self.full = False
        self.overfull = False
        self.replicated = True
        self.rows: dict[str, Row] = {}
        self.queued: Places = {worker_type: {} for worker_type in WorkerType}
        self.running: Places = {worker_type: {} for worker_type in WorkerType}
        self.delayed: Places = {worker_type: {} for worker_type in WorkerType}
        self.held: Places = {worker_type: {} for worker_type in WorkerType}
        self.parked: Places = {worker_type: {} for worker_type in WorkerType}
        self.dead: Places = {worker_type: {} for worker_type in WorkerType}
        self.messages: defaultdict[str, list[Message]] = defaultdict(list)
        self.counters: defaultdict[str, float] = defaultdict(float)
        self.exemplars: dict[str, Exemplar] = {}
        self.models: set[str] = set()
        self.leases: dict[str, int] = {}
        self.workers: dict[str, WorkerRecord] = {}
        self.outbox: list[list[Entry]] = [[] for _ in range(partitions)]
        self.letters: list[DeadLetter] = []
        self.last_pass: int | None = None
        self._cancels: defaultdict[str, set[str]] = defaultdict(set)
        self._index: defaultdict[str, set[str]] = defaultdict(set)
        self._known: dict[tuple[str, str], KnownKey] = {}
        self._locks: dict[str, tuple[str, int]] = {}
        self._projectors: dict[str, int] = {}
        self._outbox_max_bytes = outbox_max_bytes
        self._grace_until = 0
        self._in_company: set[str] = set()
        self._lease_ms = int(lease_s * 1000)
        self._retention = retention
        self._last_id = (0, 0)
        self._changed = asyncio.Event()

    def now_ms(self) -> int:
        """The moment of the latest call: as in a script, time stands still within one."""
        return self._instant

    async def _reached(self) -> None:
        """A round trip: others run meanwhile. Raises LedgerUnavailable while the ledger is down."""
        await asyncio.sleep(0)
        self._instant = self._clock_ms()
        if self.down:
            raise LedgerUnavailable("the ledger cannot be reached (down)")

    def _need_memory(self) -> None:
        """Raises LedgerFull where a server would have none left."""
        if self.overfull:
            raise LedgerFull("the ledger's memory is full; nothing was accepted")

    async def _until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Returns when `ready` holds, or when the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                while not ready():
                    await self._changed.wait()
        except TimeoutError:
            return

    def _note_reason(self, row: Row, failure: TaskFailure) -> None:
        """Why an attempt that counts ended without success."""
        reason = {"attempt": row.task.attempts, "code": failure.code, "message": failure.message, "at": self.now_ms()}
        row.set(reasons=orjson.dumps([*orjson.loads(row.task.reasons), reason]))

    def _tell_of_crash(self, row: Row, attempt: int) -> None:
        event = {"state": "queued", "attempt": attempt, "crashes_in_company": row.task.crashes}
        self._event(row, "worker_lost", event)

    def _row(self, task_id: str) -> Row | None:
        row = self.rows.get(task_id)
        if row is not None and row.expires_at is not None and row.expires_at <= self.now_ms():
            del self.rows[task_id]
            return None
        return row

    def _owned(self, claim: Claim) -> Row:
        """The row that the claim may write. Raises StaleClaim."""
        row = self._row(claim.task_id)
        if row is None or not self._owns(row, claim):
            raise StaleClaim(f"another attempt owns task {claim.task_id}")
        return row

    @staticmethod
    def _owns(row: Row, claim: Claim) -> bool:
        current = (row.task.state, row.task.fence, row.claim_id)
        return current == (TaskState.RUNNING, claim.fence, claim.claim_id)

    def _stream_id(self) -> str:
        self._last_id = max((self.now_ms(), 0), (self._last_id[0], self._last_id[1] + 1))
        return f"{self._last_id[0]}-{self._last_id[1]}"

    def _wake(self) -> None:
        """Lets those look again that wait for something new."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _event(self, row: Row, kind: str, data: Mapping[str, Any]) -> None:
        row.events.append(TaskEvent(self._stream_id(), kind, data))
        self._wake()

    def _model_label(self, model: str, *, known: bool) -> str:
        """What a model is counted as."""
        if known and len(self.models) < MAX_MODELS and len(model.encode()) <= MAX_MODEL_NAME:
            self.models.add(model)
        return model if model in self.models or model == UNNAMED_MODEL else "other"

    def _observe(self, name: str, task: Task, since: int, now: int) -> None:
        worker_type, ms = task.type, now - since
        bucket = next(
            (n for n, bound in enumerate(HISTOGRAM_BOUNDS_MS, 1) if ms <= bound), len(HISTOGRAM_BOUNDS_MS) + 1
        )
        self.counters[f"hist:{name}:{worker_type}:{bucket}"] += 1
        self.counters[f"hist:{name}:{worker_type}:sum"] += ms
        if task.trace is not None and int(task.trace[-2:], 16) & 1:
            self.exemplars[f"{name}:{worker_type}:{bucket}"] = Exemplar(task.trace[3:35], ms, now)

    def _tell(self, row: Row) -> None:
        """Leaves word for the task's worker that this attempt of its is to stop."""
        if row.worker:
            self._cancels[row.worker].add(f"{row.task.id}:{row.task.fence}")

    def _await_projection(self, row: Row) -> None:
        """Puts a finished task into the outbox."""
        task = row.task
        row.outbox_bytes = len(task.input) + len(task.result or b"")
        self.outbox[int(task.id[-4:], 16) % len(self.outbox)].append(Entry(self._stream_id(), task.id, task.fence))
        self._wake()

    @property
    def outbox_bytes(self) -> int:
        """What the tasks in the outbox hold of inputs and results."""
        return sum(row.outbox_bytes or 0 for task_id in list(self.rows) if (row := self._row(task_id)))

    @property
    def dead_letters(self) -> dict[str, str]:
        """Tasks that no store takes, with the reasons."""
        return {letter.task_id: letter.reason for letter in self.letters}

    def _hold(self, name: str, owner: str, ttl_s: float) -> bool:
        """Takes or renews a lock."""
        holder, until = self._locks.get(name, ("", 0))
        if holder != owner and until > self.now_ms():
            return False
        self._locks[name] = (owner, self.now_ms() + int(ttl_s * 1000))
        return True

    def _let_go(self, name: str, owner: str) -> None:
        if self._locks.get(name, ("", 0))[0] == owner:
            del self._locks[name]
