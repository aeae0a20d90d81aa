"""A task, its states and its events: the vocabulary of the ledger, the API and the workers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from codeforge.worker_types import Priority, WorkerType

JsonObject = dict[str, Any]


class TaskState(StrEnum):
    """`queued` includes delayed tasks and those awaiting a retry (they carry `not_before`)."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD = "dead"

    @property
    def terminal(self) -> bool:
        """Whether nothing but a replay can move the task on."""
        return self not in (TaskState.QUEUED, TaskState.RUNNING)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a task spent on models. Tokens are counts, `usd` is US dollars."""

    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.usd + other.usd,
        )


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """Why a task failed, as clients see it."""

    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an agent got: `done` of `total` units, and a word on it."""

    done: int
    total: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """One task as the ledger holds it.

    `input`, `labels`, `result` and `calls` are JSON texts, kept as the client or agent wrote them. Times are
    milliseconds since the epoch by the ledger's clock; `timeout_s` is in seconds. `fence` grows with each
    claim and never shrinks. `reasons` is a JSON array: why each attempt that counted ended without success.
    `crashes` is how many processes broke with it and others aboard. `queued_at` is when it was last due; `wait_ms` and
    `run_ms` are how long it has waited since then, and run, in all attempts that ended. `trace` is the trace context
    that it was submitted in (W3C traceparent).
    `budget_tokens` is what it may spend on models in
    all its attempts, input and output together.
    """

    id: str
    tenant: str
    type: WorkerType
    state: TaskState
    priority: Priority
    input: bytes
    labels: bytes
    parent_id: str | None
    created_at: int
    timeout_s: int
    max_attempts: int
    attempts: int = 0
    fence: int = 0
    not_before: int | None = None
    started_at: int | None = None
    finished_at: int | None = None
    progress: Progress | None = None
    usage: Usage = field(default_factory=Usage)
    result: bytes | None = None
    error: TaskFailure | None = None
    stored: bool = False
    reasons: bytes = b"[]"
    crashes: int = 0
    queued_at: int | None = None
    wait_ms: int = 0
    run_ms: int = 0
    trace: str | None = None
    budget_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class NewTask:
    """A validated submission. `input` and `labels` are JSON texts; `delay_s` is in seconds; `trace` is the context
    that it is traced in (W3C traceparent)."""

    id: str
    tenant: str
    type: WorkerType
    priority: Priority
    input: bytes
    labels: bytes
    timeout_s: int
    max_attempts: int
    delay_s: float = 0.0
    parent_id: str | None = None
    trace: str | None = None
    budget_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to write a task: valid while both the fence and the random claim id are the current ones."""

    task_id: str
    type: WorkerType
    worker: str
    fence: int
    claim_id: str

    @property
    def attempt(self) -> str:
        """The name of this attempt: `<task id>:<fence>`."""
        return f"{self.task_id}:{self.fence}"


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One answered model call, for the task's lineage. `ms` is its duration in milliseconds."""

    step: str
    model: str
    input_tokens: int
    output_tokens: int
    usd: float
    ms: int


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """One entry of a task's event stream. `id` is the stream id, which orders events and resumes a reader."""

    id: str
    kind: str
    data: Mapping[str, Any]
