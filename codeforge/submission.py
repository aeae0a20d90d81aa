"""Use case: accepting tasks. A request is checked in full before anything is enqueued."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from codeforge import tracing
from codeforge.errors import InvalidInput, ModelNotConfigured, NotSupported, UnknownParent
from codeforge.identity import is_task_id, new_task_id
from codeforge.inputs import INPUTS, TaskInput
from codeforge.ledger.port import Idempotency, Ledger
from codeforge.ledger.rates import Rates, RateState
from codeforge.task import NewTask, TaskState
from codeforge.worker_types import SPECS, Priority, WorkerType

MAX_DELAY_S = 30 * 86_400
MAX_BATCH = 1_000
MAX_BUDGET_TOKENS = 1_000_000_000
MAX_NAME_CHARS = 100
"""So much of a field's name is repeated in an error: the client may have made it up."""

LABEL_PATTERN = r"^[\w./-]+$"
LabelName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=LABEL_PATTERN)]
LabelValue = Annotated[str, StringConstraints(max_length=256)]


class Budget(BaseModel):
    """What a task may spend on models in all its attempts."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    tokens: int | None = Field(default=None, ge=1, le=MAX_BUDGET_TOKENS, description="Input and output together.")
    usd: float | None = Field(default=None, gt=0, description="Refused until it is enforced.")


class TaskRequest(BaseModel):
    """The body of `POST /tasks`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    type: WorkerType = Field(description="Which worker type runs the task.")
    input: dict[str, Any] = Field(description="The type's own input; see the guide for each type's fields.")
    priority: Priority = Field(default=Priority.NORMAL, description="Strict order within a type.")
    delay_s: float = Field(default=0.0, ge=0, le=MAX_DELAY_S, description="Seconds to wait before it is queued.")
    timeout_s: int | None = Field(default=None, ge=1, description="Seconds that one attempt may take.")
    max_attempts: int | None = Field(default=None, ge=1, le=20, description="Attempts before the task is dead.")
    budget: Budget | None = Field(default=None, description="What it may spend. `tokens`, for analysis, is enforced.")
    webhook: dict[str, Any] | None = Field(default=None, description="Refused until it is enforced.")
    labels: dict[LabelName, LabelValue] = Field(default={}, max_length=32, description="For filtering lists.")
    parent_id: str | None = Field(default=None, description="A task of the same tenant that asked for this one.")


class UrlGuard(Protocol):
    """Port: the outgoing guard, as far as it needs no name resolution."""

    def check_url(self, url: str, field: str) -> None:
        """Raises BlockedAddress."""
        ...


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a client gets back; `created_at` is in milliseconds."""

    id: str
    type: WorkerType
    state: TaskState
    created_at: int


@dataclass(frozen=True, slots=True)
class Submitted:
    """The tasks in order, whether an earlier request had made them, and what is left of the tenant's rate."""

    tasks: Sequence[Accepted]
    replayed: bool
    rate: RateState | None


class Submissions:
    """Accepts tasks for one deployment."""

    def __init__(self, ledger: Ledger, guard: UrlGuard, rates: Rates, *, model_configured: bool) -> None:
        self._ledger = ledger
        self._guard = guard
        self._rates = rates
        self._model_configured = model_configured

    async def submit(
        self, tenant: str, requests: Sequence[TaskRequest], idempotency: Idempotency | None, *, batch: bool = False
    ) -> Submitted:
        """All or none.

        Raises InvalidInput (a batch's fields start with `tasks.<index>.`), ModelNotConfigured, IdempotencyConflict,
        RateLimited, TenantQueueFull, LedgerUnavailable.
        """
        new = [
            self._checked(tenant, request, f"tasks.{index}." if batch else "") for index, request in enumerate(requests)
        ]
        # A repetition makes no tasks, so it takes nothing of the rate.
        repeated = (
            idempotency is not None and self._rates.limited and await self._ledger.knows_key(tenant, idempotency.key)
        )
        rate = await self._rates.take(tenant, 0 if repeated else len(new))
        try:
            submission = await self._ledger.submit(new, idempotency)
        except UnknownParent as error:
            field = f"tasks.{error.index}.{error.field}" if batch else error.field
            raise InvalidInput(error.message, field=field) from None
        # A repetition is answered as the first time, also when its tasks have ended or were let go since.
        tasks = [
            Accepted(task_id, task.type, TaskState.QUEUED, submission.created_at)
            for task_id, task in zip(submission.ids, new, strict=True)
        ]
        return Submitted(tasks, submission.replayed, rate)

    def _checked(self, tenant: str, request: TaskRequest, prefix: str) -> NewTask:
        spec = SPECS[request.type]
        _refuse_what_nothing_enforces(request, prefix)
        if request.timeout_s is not None and request.timeout_s > spec.max_timeout_s:
            raise InvalidInput(f"at most {spec.max_timeout_s} for {request.type.value}", field=f"{prefix}timeout_s")
        if request.parent_id is not None and not is_task_id(request.parent_id):
            raise InvalidInput("not a task id", field=f"{prefix}parent_id")
        task_input = self._checked_input(request, f"{prefix}input")
        if spec.needs_model and not self._model_configured:
            raise ModelNotConfigured(
                f"{request.type.value} tasks need a model: set CODEFORGE_OPENROUTER_API_KEY or CODEFORGE_LLM_BASE_URL"
            )
        return NewTask(
            id=new_task_id(),
            tenant=tenant,
            type=request.type,
            priority=request.priority,
            input=task_input.model_dump_json(exclude_none=True).encode(),
            labels=orjson.dumps(request.labels),
            timeout_s=request.timeout_s or spec.timeout_s,
            max_attempts=request.max_attempts or spec.max_attempts,
            delay_s=request.delay_s,
            parent_id=request.parent_id,
            trace=tracing.traceparent(),
            budget_tokens=None if request.budget is None else request.budget.tokens,
        )

    def _checked_input(self, request: TaskRequest, prefix: str) -> TaskInput:
        try:
            # Through JSON, whose strict mode knows enumerations and tuples by their JSON forms.
            text = orjson.dumps(request.input)
            if b"null" in text:
                _refuse_infinity(request.input)
            task_input = INPUTS[request.type].model_validate_json(text)
        except ValidationError as error:
            raise invalid_input(error, prefix) from None
        except (TypeError, ValueError):
            raise InvalidInput("a number is out of range", field=prefix) from None
        for field, url in task_input.outgoing_urls():
            self._guard.check_url(url, f"{prefix}.{field}")
        return task_input


def _refuse_infinity(task_input: Mapping[str, Any]) -> None:
    """Raises ValueError for a number like 1e999: read as infinite, it would become null, and so count as not given."""
    json.dumps(task_input, allow_nan=False)


def _refuse_what_nothing_enforces(request: TaskRequest, prefix: str) -> None:
    """Raises NotSupported."""
    refused = None
    if request.webhook is not None:
        refused = "webhook"
    elif request.budget is not None and not SPECS[request.type].keeps_budget:
        refused = "budget"
    elif request.budget is not None and request.budget.usd is not None:
        refused = "budget.usd"
    if refused is not None:
        message = f"not enforced yet for {request.type.value}, so it is not accepted"
        raise NotSupported(message, field=prefix + refused)


def invalid_input(error: ValidationError, prefix: str = "") -> InvalidInput:
    """The first thing that pydantic found, as the project's own error; the value itself is not repeated."""
    first = error.errors(include_input=False, include_url=False)[0]
    loc = first["loc"]
    if len(loc) > 2 and loc[-1] == "[key]":  # pydantic's way to say that it means the name, not the value
        loc = loc[:-1]
    parts = [*([prefix] if prefix else []), *(str(part)[:MAX_NAME_CHARS] for part in loc)]
    message = first["msg"].removeprefix("Value error, ")
    return InvalidInput(message, field=".".join(parts) or "body")


def idempotency_of(key: str | None, route: str, body: Mapping[str, Any]) -> Idempotency | None:
    """The client's key with a hash of what it asked for. Raises InvalidInput for an unusable key."""
    if key is None:
        return None
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        raise InvalidInput("1 to 255 printable ASCII characters", field="Idempotency-Key")
    # A body may hold integers that orjson does not take, and which are refused only later.
    text = json.dumps([route, body], sort_keys=True)
    return Idempotency(key, hashlib.sha256(text.encode()).hexdigest())
