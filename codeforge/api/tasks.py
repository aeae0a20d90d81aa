"""Routes of tasks: submit, read, cancel, replay."""

import re
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from codeforge.api.description import AcceptedBatch, AcceptedTask, TaskList, TaskStanding, WholeTask, problems
from codeforge.api.headers import IDEMPOTENCY_KEY, single_header
from codeforge.api.parameters import IN_DIGITS
from codeforge.api.services import services
from codeforge.api.submitting import ACCEPTED, BatchRequest, SubmissionRoutes, description_of
from codeforge.api.views import JsonResponse, links, task_view
from codeforge.errors import InvalidInput, StateConflict, TaskNotFound
from codeforge.identity import is_task_id
from codeforge.ledger.port import TaskFilter
from codeforge.submission import LABEL_PATTERN, TaskRequest
from codeforge.task import TaskState
from codeforge.wiring.api import ApiServices
from codeforge.worker_types import WorkerType

LABEL_NAME = re.compile(LABEL_PATTERN)

Services = Annotated[ApiServices, Depends(services)]

SUBMITTING = problems(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.TOO_MANY_REQUESTS,
)
CHANGING = problems(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


async def known_id(task_id: str) -> str:
    """A dependency: the path's id. What cannot be an id is not found, without asking."""
    if not is_task_id(task_id):
        raise TaskNotFound("no such task")
    return task_id


TaskId = Annotated[str, Depends(known_id)]
KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", min_length=1, max_length=255, pattern="^[ -~]+$",
        description="the task's last such request, repeated with the same key, is answered as the first time",
    ),
]  # fmt: skip


async def one_key(request: Request, key: KeyHeader = None) -> str | None:
    """A dependency: the request's key."""
    return single_header(request, IDEMPOTENCY_KEY)


Key = Annotated[str | None, Depends(one_key)]


def task_routes(tenant_of: Any, submissions: SubmissionRoutes) -> APIRouter:
    """The routes; `tenant_of` is the dependency that knows the request's tenant. Submissions are answered before they
    come here (`DirectSubmissions`); their routes are their description."""
    router = APIRouter(tags=["tasks"])
    _describe_submissions(router, tenant_of, submissions)
    Tenant = Annotated[str, Depends(tenant_of)]

    @router.get("/tasks", response_model=TaskList)
    async def list_tasks(
        tenant: Tenant,
        api: Services,
        state: TaskState | None = None,
        type: WorkerType | None = None,
        label: Annotated[list[str] | None, Query(max_length=8, description="name, name=value or name:value")] = None,
        limit: Annotated[int, Query(ge=1, le=500), IN_DIGITS] = 50,
        cursor: str | None = None,
    ) -> Response:
        """Tasks that the ledger still keeps, newest first, without their results. A page may be short while
        `next_cursor` is set."""
        if cursor is not None and not is_task_id(cursor):
            raise InvalidInput("not a cursor of an earlier page", field="cursor")
        wanted = TaskFilter(state, type, [_label(text) for text in label or ()])
        page = await api.ledger.list(tenant, wanted, limit, cursor)
        items = [task_view(task, with_result=False) for task in page.tasks]
        return JsonResponse({"items": items, "next_cursor": page.next_cursor})

    @router.get("/tasks/{task_id}", response_model=WholeTask, responses=problems(HTTPStatus.NOT_FOUND))
    async def get_task(tenant: Tenant, task_id: TaskId, api: Services) -> Response:
        """One task with its result. Once the ledger has let it go, the graph answers, with `result_truncated` to say
        whether the result was too large to be kept there (it is null then)."""
        try:
            return JsonResponse(task_view(await api.ledger.get(tenant, task_id)))
        except TaskNotFound:
            kept = await api.lineage.restored(tenant, task_id)
        return JsonResponse(task_view(kept.task) | {"result_truncated": kept.result_truncated})

    @router.delete("/tasks/{task_id}", status_code=ACCEPTED, response_model=TaskStanding, responses=CHANGING)
    async def cancel(tenant: Tenant, task_id: TaskId, api: Services, key: Key) -> Response:
        """Cancels: a queued task at once, a running one within two seconds."""
        try:
            state = await api.ledger.cancel(tenant, task_id, key)
        except TaskNotFound:
            raise await _let_go(api, tenant, task_id, "cancelled") from None
        return JsonResponse({"id": task_id, "state": state.value, "links": links(task_id)}, status_code=ACCEPTED)

    @router.post("/tasks/{task_id}/replay", status_code=ACCEPTED, response_model=TaskStanding, responses=CHANGING)
    async def replay(tenant: Tenant, task_id: TaskId, api: Services, key: Key) -> Response:
        """Runs a dead, failed or cancelled task again; steps that it finished are not paid for again."""
        try:
            state = await api.ledger.replay(tenant, task_id, key)
        except TaskNotFound:
            raise await _let_go(api, tenant, task_id, "replayed") from None
        return JsonResponse({"id": task_id, "state": state.value, "links": links(task_id)}, status_code=ACCEPTED)

    return router


def _describe_submissions(router: APIRouter, tenant_of: Any, submissions: SubmissionRoutes) -> None:
    @router.post(
        "/tasks",
        status_code=ACCEPTED,
        response_model=AcceptedTask,
        responses=SUBMITTING,
        dependencies=[Depends(tenant_of)],
        openapi_extra=description_of(TaskRequest),
    )
    async def submit(request: Request) -> Response:
        """Accepts one task. Nothing is enqueued unless the answer is 202."""
        return await submissions.one(request)

    @router.post(
        "/tasks/batch",
        status_code=ACCEPTED,
        response_model=AcceptedBatch,
        responses=SUBMITTING,
        dependencies=[Depends(tenant_of)],
        openapi_extra=description_of(BatchRequest),
    )
    async def submit_batch(request: Request) -> Response:
        """Accepts up to 1,000 tasks, all or none."""
        return await submissions.batch(request)


async def _let_go(api: ApiServices, tenant: str, task_id: str, what: str) -> StateConflict:
    """Why a task that the ledger has no more cannot be changed. Raises TaskNotFound where the graph has none either."""
    kept = await api.lineage.restored(tenant, task_id)
    return StateConflict(f"a task that is {kept.task.state.value} cannot be {what} once the ledger has let it go")


def _label(text: str) -> tuple[str, str | None]:
    """A name holds neither of the two signs, but a value may. Raises InvalidInput for what no label can be named."""
    name, *value = re.split("[=:]", text, maxsplit=1)
    if LABEL_NAME.fullmatch(name) is None:
        raise InvalidInput("expected name, name=value or name:value", field="label")
    return name, value[0] if value else None
