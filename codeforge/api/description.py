"""What the routes answer, for the OpenAPI document. Answers themselves are built as text (`views`); the tests hold them
against these models."""

from datetime import datetime
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from codeforge.api.problems import MEDIA_TYPE
from codeforge.search import SearchItem
from codeforge.task import Progress, TaskFailure, TaskState, Usage
from codeforge.worker_types import Priority, WorkerType


class Answer(BaseModel):
    """A part of an answer: exactly these fields."""

    model_config = ConfigDict(extra="forbid")


class Links(Answer):
    """Where to go from a task."""

    itself: str = Field(alias="self")
    events: str
    graph: str


class TaskStanding(Answer):
    """The answer to a cancellation or a replay."""

    id: str
    state: TaskState
    links: Links


class AcceptedTask(TaskStanding):
    """The answer to a submission."""

    type: WorkerType
    created_at: datetime


class AcceptedBatch(Answer):
    """The answer to a batch: its tasks, in their order."""

    items: list[AcceptedTask]


class TokenBudget(Answer):
    """What a task may spend on models."""

    tokens: int


class TaskSummary(AcceptedTask):
    """A task without its result. `wait_s` and `run_s` are of all its attempts, in seconds."""

    priority: Priority
    attempts: int
    max_attempts: int
    timeout_s: int
    started_at: datetime | None
    finished_at: datetime | None
    not_before: datetime | None
    progress: Progress | None
    usage: Usage
    wait_s: float
    run_s: float
    sandbox_peak_bytes: int | None
    budget: TokenBudget | None
    error: TaskFailure | None
    attempt_errors: list[JsonValue]
    stored: bool
    labels: dict[str, str]
    parent_id: str | None


class WholeTask(TaskSummary):
    """A task. `result` is by its type, and null until it succeeded. `result_truncated` is there once the ledger let the
    task go."""

    result: dict[str, JsonValue] | None
    result_truncated: bool = False


class TaskList(Answer):
    """One page of tasks; `next_cursor` leads to the next."""

    items: list[TaskSummary]
    next_cursor: str | None


class Queue(Answer):
    """Depths of a worker type. `held` tasks wait for a cap, `held_by_tenant` of those for their tenant's."""

    type: WorkerType
    queued: int
    running: int
    delayed: int
    dead: int
    workers: int
    slots: int
    oldest_queued_s: float
    held: int
    held_by_tenant: int


class QueueList(Answer):
    """All worker types."""

    items: list[Queue]
    next_cursor: None


class Demand(Answer):
    """What there is to do, for an autoscaler: `value` is all of it. The projector has no parts."""

    type: str
    value: int
    queued: int = 0
    running: int = 0


class SearchList(Answer):
    """What was found, best first."""

    items: list[SearchItem]
    next_cursor: None


class Problem(Answer):
    """RFC 9457. `code` is stable; `field` names what was wrong with the request."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    field: str | None = None


ALWAYS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


def problems(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The `responses` of what may answer so; without a status, of every route."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {int(status): {"description": status.phrase, "content": content} for status in statuses or ALWAYS}
