"""Routes of tasks: submit, read, cancel, replay."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from codeforge.api.body import parse_body, read_body
from codeforge.api.rate_headers import rate_headers
from codeforge.api.services import services
from codeforge.api.views import JsonResponse, accepted_view, links, task_view
from codeforge.errors import InvalidInput, TaskNotFound
from codeforge.identity import is_task_id
from codeforge.ledger.port import TaskFilter
from codeforge.submission import MAX_BATCH, Submitted, TaskRequest, idempotency_of
from codeforge.task import TaskState
from codeforge.wiring.api import ApiServices
from codeforge.worker_types import WorkerType

Services = Annotated[ApiServices, Depends(services)]
Key = Annotated[str | None, Header(alias="Idempotency-Key")]
ACCEPTED = 202


class BatchRequest(BaseModel):
    """The body of `POST /tasks/batch`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    tasks: list[TaskRequest] = Field(min_length=1, max_length=MAX_BATCH)


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI description of a body that the route reads itself."""
    schema = model.model_json_schema()
    inlined = _inlined(schema, schema.pop("$defs", {}))
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": inlined}}}}


def _inlined(part: Any, definitions: dict[str, Any]) -> Any:
    """The schema with its definitions in place of the references to them; none of ours contains itself."""
    if isinstance(part, list):
        return [_inlined(item, definitions) for item in part]
    if not isinstance(part, dict):
        return part
    whole = {name: _inlined(value, definitions) for name, value in part.items() if name != "$ref"}
    if "$ref" in part:
        whole = _inlined(definitions[part["$ref"].rpartition("/")[2]], definitions) | whole
    return whole


async def known_id(task_id: str) -> str:
    """A dependency: the path's id. What cannot be an id is not found, without asking."""
    if not is_task_id(task_id):
        raise TaskNotFound("no such task")
    return task_id


TaskId = Annotated[str, Depends(known_id)]


def task_routes(tenant_of: Any) -> APIRouter:
    """The routes; `tenant_of` is the dependency that knows the request's tenant."""
    router = APIRouter(tags=["tasks"])
    Tenant = Annotated[str, Depends(tenant_of)]

    @router.post("/tasks", status_code=ACCEPTED, openapi_extra=body_of(TaskRequest))
    async def submit(request: Request, tenant: Tenant, api: Services, key: Key = None) -> Response:
        """Accepts one task. Nothing is enqueued unless the answer is 202."""
        body = parse_body(await read_body(request), TaskRequest)
        idempotency = idempotency_of(key, "task", body.model_dump(mode="json"))
        submitted = await api.submissions.submit(tenant, [body], idempotency)
        (task,) = submitted.tasks
        headers = {"Location": f"/tasks/{task.id}"} | _headers(submitted)
        return JsonResponse(accepted_view(task), status_code=ACCEPTED, headers=headers)

    @router.post("/tasks/batch", status_code=ACCEPTED, openapi_extra=body_of(BatchRequest))
    async def submit_batch(request: Request, tenant: Tenant, api: Services, key: Key = None) -> Response:
        """Accepts up to 1,000 tasks, all or none."""
        body = parse_body(await read_body(request), BatchRequest)
        idempotency = idempotency_of(key, "batch", body.model_dump(mode="json"))
        submitted = await api.submissions.submit(tenant, body.tasks, idempotency, batch=True)
        items = {"items": [accepted_view(task) for task in submitted.tasks]}
        return JsonResponse(items, status_code=ACCEPTED, headers=_headers(submitted))

    @router.get("/tasks")
    async def list_tasks(
        tenant: Tenant,
        api: Services,
        state: TaskState | None = None,
        type: WorkerType | None = None,
        label: Annotated[list[str] | None, Query(max_length=8, description="name, name=value or name:value")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
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

    @router.get("/tasks/{task_id}")
    async def get_task(tenant: Tenant, task_id: TaskId, api: Services) -> Response:
        """One task with its result. Once the ledger has let it go, the graph answers, with `result_truncated` to say
        whether the result was too large to be kept there (it is null then)."""
        try:
            return JsonResponse(task_view(await api.ledger.get(tenant, task_id)))
        except TaskNotFound:
            kept = await api.lineage.restored(tenant, task_id)
        return JsonResponse(task_view(kept.task) | {"result_truncated": kept.result_truncated})

    @router.delete("/tasks/{task_id}", status_code=ACCEPTED)
    async def cancel(tenant: Tenant, task_id: TaskId, api: Services) -> Response:
        """Cancels: a queued task at once, a running one within two seconds."""
        state = await api.ledger.cancel(tenant, task_id)
        return JsonResponse({"id": task_id, "state": state.value, "links": links(task_id)}, status_code=ACCEPTED)

    @router.post("/tasks/{task_id}/replay", status_code=ACCEPTED)
    async def replay(tenant: Tenant, task_id: TaskId, api: Services) -> Response:
        """Runs a dead, failed or cancelled task again; steps that it finished are not paid for again."""
        state = await api.ledger.replay(tenant, task_id)
        return JsonResponse({"id": task_id, "state": state.value, "links": links(task_id)}, status_code=ACCEPTED)

    return router


def _headers(submitted: Submitted) -> dict[str, str]:
    rate = submitted.rate
    headers = {} if rate is None else rate_headers(rate.quota, rate.window_s, rate.remaining, rate.reset_s)
    return headers | ({"Idempotent-Replay": "true"} if submitted.replayed else {})


def _label(text: str) -> tuple[str, str | None]:
    for separator in ("=", ":"):
        name, found, value = text.partition(separator)
        if found:
            return name, value
    return text, None
