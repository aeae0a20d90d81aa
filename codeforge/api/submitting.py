"""The two routes that submit, past the framework: its routing and its solving of dependencies cost more than all that
these routes do themselves. The framework's own routes still describe them."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp, Receive, Scope, Send

from codeforge.api.body import explained, parse_body, read_body
from codeforge.api.headers import IDEMPOTENCY_KEY, single_header
from codeforge.api.parameters import refuse_others
from codeforge.api.problems import Failures
from codeforge.api.rate_headers import rate_headers
from codeforge.api.traced import ROUTE
from codeforge.api.views import JsonResponse, accepted_view
from codeforge.errors import CodeForgeError
from codeforge.ledger.port import Idempotency
from codeforge.submission import MAX_BATCH, Submitted, TaskRequest, idempotency_of
from codeforge.wiring.api import ApiServices

ACCEPTED = 202

TenantOf = Callable[[Request], Awaitable[str]]


class BatchRequest(BaseModel):
    """The body of `POST /tasks/batch`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    tasks: list[TaskRequest] = Field(min_length=1, max_length=MAX_BATCH)


class SubmissionRoutes:
    """What answers a submission. `tenant_of` raises Unauthorized."""

    def __init__(self, services: ApiServices, tenant_of: TenantOf) -> None:
        self._submissions = services.submissions
        self._tenant_of = tenant_of

    async def one(self, request: Request) -> Response:
        """`POST /tasks`."""
        tenant = await self._tenant_of(request)
        body = parse_body(await read_body(request), TaskRequest)
        submitted = await self._submissions.submit(tenant, [body], _idempotency(request, "task", body))
        (task,) = submitted.tasks
        headers = {"Location": f"/tasks/{task.id}"} | _headers(submitted)
        return JsonResponse(accepted_view(task), status_code=ACCEPTED, headers=headers)

    async def batch(self, request: Request) -> Response:
        """`POST /tasks/batch`."""
        tenant = await self._tenant_of(request)
        body = parse_body(await read_body(request), BatchRequest)
        idempotency = _idempotency(request, "batch", body)
        submitted = await self._submissions.submit(tenant, body.tasks, idempotency, batch=True)
        items = {"items": [accepted_view(task) for task in submitted.tasks]}
        return JsonResponse(items, status_code=ACCEPTED, headers=_headers(submitted))


class DirectSubmissions:
    """Middleware that answers submissions itself."""

    def __init__(self, app: ASGIApp, routes: SubmissionRoutes, failures: Failures) -> None:
        self._app = app
        self._failures = failures
        self._routes = {"/tasks": routes.one, "/tasks/batch": routes.batch}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        route = self._routes.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope[ROUTE] = scope["path"]
        request = Request(scope, receive)
        try:
            if scope["query_string"]:
                refuse_others(request, known=())
            response = await route(request)
        except CodeForgeError as error:
            response = self._failures.response(request, explained(error, request.headers))
        await response(scope, receive, send)


def _idempotency(request: Request, route: str, body: BaseModel) -> Idempotency | None:
    key = single_header(request, IDEMPOTENCY_KEY)
    return None if key is None else idempotency_of(key, route, body.model_dump(mode="json"))


def _headers(submitted: Submitted) -> dict[str, str]:
    rate = submitted.rate
    headers = {} if rate is None else rate_headers(rate.quota, rate.window_s, rate.remaining, rate.reset_s)
    return headers | ({"Idempotent-Replay": "true"} if submitted.replayed else {})


def description_of(model: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI description of such a route: its body, and the header that it reads."""
    schema = model.model_json_schema()
    inlined = _inlined(schema, schema.pop("$defs", {}))
    key = {"name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string"}}
    body = {"required": True, "content": {"application/json": {"schema": inlined}}}
    return {"requestBody": body, "parameters": [key]}


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
