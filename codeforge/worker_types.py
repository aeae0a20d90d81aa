"""The one list of worker types. Queues, limits, metric labels, manifests and docs derive from it.

Imports nothing of this project. To add a type, add a row here, its input and result models in
`inputs.py` and `results.py`, and an agent in `workers/`; the tests tell what is missing.
"""

from dataclasses import dataclass
from enum import StrEnum


class WorkerType(StrEnum):
    """What a worker can do. The value is the queue's name and the metric label."""

    CODING = "coding"
    ANALYSIS = "analysis"
    DEBATE = "debate"
    SCRAPE = "scrape"


GENERAL = "general"
"""`WORKER_TYPE` of a process that serves every type."""


class Priority(StrEnum):
    """Strict order: a worker takes no lower priority while a higher one waits."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class WorkerTypeSpec:
    """Defaults and limits of one worker type.

    `timeout_s` bounds one attempt, in seconds; `needs_model` refuses submissions with
    `model_not_configured` when no model is set. A failed attempt is tried again after a random time of up to
    `retry_base_s`, doubled with each attempt, but never more than `retry_cap_s` seconds. When the oldest task has
    waited for `patience_s` seconds, operators are told.
    `keeps_budget` says that the type's agent stays within `budget.tokens`, which is refused for others.
    """

    type: WorkerType
    timeout_s: int
    max_timeout_s: int
    max_attempts: int
    needs_model: bool
    patience_s: int
    keeps_budget: bool = False
    retry_base_s: float = 2.0
    retry_cap_s: float = 300.0


SPECS: dict[WorkerType, WorkerTypeSpec] = {
    spec.type: spec
    for spec in (
        WorkerTypeSpec(WorkerType.CODING, 1_800, 14_400, 3, needs_model=True, patience_s=600),
        WorkerTypeSpec(WorkerType.ANALYSIS, 1_800, 14_400, 3, needs_model=True, patience_s=600, keeps_budget=True),
        WorkerTypeSpec(WorkerType.DEBATE, 1_800, 14_400, 3, needs_model=True, patience_s=600),
        WorkerTypeSpec(WorkerType.SCRAPE, 600, 14_400, 3, needs_model=False, patience_s=120, retry_cap_s=60.0),
    )
}


def queue_name(worker_type: WorkerType, priority: Priority = Priority.NORMAL) -> str:
    """The broker queue of a type and priority: `coding`, `coding.high`, `coding.low`."""
    return worker_type.value if priority is Priority.NORMAL else f"{worker_type.value}.{priority.value}"


def task_name(worker_type: WorkerType) -> str:
    """The Celery task name of a type."""
    return f"codeforge.{worker_type.value}"


def served_types(worker_type: str) -> tuple[WorkerType, ...]:
    """The types that a process with this `WORKER_TYPE` serves. Raises ValueError for an unknown name."""
    return tuple(WorkerType) if worker_type == GENERAL else (WorkerType(worker_type),)
