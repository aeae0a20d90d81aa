"""Routes that follow a task: its events as they happen, its lineage, and why its claims are made."""

import re
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from codeforge.api.description import problems
from codeforge.api.methods import HEAD
from codeforge.api.tasks import Services, TaskId
from codeforge.api.views import JsonResponse, event_text
from codeforge.errors import ClaimNotFound, CodeForgeError, InvalidInput, TaskNotFound, TooManyStreams
from codeforge.identity import is_task_id
from codeforge.lineage import LineageGraph
from codeforge.logs import logger
from codeforge.provenance import Why
from codeforge.task import TaskEvent, TaskState
from codeforge.wiring.api import ApiServices

log = logger(__name__)

MAX_STREAMS = 200
"""Open event streams per process; each holds one connection to the ledger while it waits."""

BLOCK_MS = 5_000
EVENT_ID = re.compile(r"([0-9]{1,20})(?:-([0-9]{1,20}))?")
LARGEST_ID_PART = 2**64 - 1
AT_ONCE = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Nginx and its like keep answers back until they are long, unless they are told not to."""

TERMINAL = frozenset(state.value for state in TaskState if state.terminal)


class StreamSlots:
    """Bounds the open streams of this process."""

    def __init__(self, limit: int) -> None:
        self._free = limit

    def take(self) -> None:
        """Raises TooManyStreams."""
        if self._free == 0:
            raise TooManyStreams("too many open event streams; poll GET /tasks/{id} instead")
        self._free -= 1

    def give_back(self) -> None:
        """The stream has ended."""
        self._free += 1


class EventStream(StreamingResponse):
    """Server-sent events. Takes its slot when it is made, so that a refusal is a proper answer, and holds it while it
    is sent. Raises TooManyStreams."""

    def __init__(self, events: AsyncIterator[bytes], slots: StreamSlots) -> None:
        super().__init__(events, media_type="text/event-stream", headers=AT_ONCE)
        slots.take()
        self._slots = slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Nobody who asks with HEAD waits for events."""
        try:
            if scope.get(HEAD):
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                await send({"type": "http.response.body"})
            else:
                await super().__call__(scope, receive, send)
        finally:
            self._slots.give_back()


def task_read_routes(tenant_of: Any) -> APIRouter:
    """The routes; `tenant_of` is the dependency that knows the request's tenant."""
    router = APIRouter(tags=["tasks"])
    slots = StreamSlots(MAX_STREAMS)
    Tenant = Annotated[str, Depends(tenant_of)]

    @router.get(
        "/tasks/{task_id}/events",
        response_class=StreamingResponse,
        responses=problems(HTTPStatus.NOT_FOUND),
    )
    async def events(
        tenant: Tenant,
        task_id: TaskId,
        api: Services,
        last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
        after: Annotated[str | None, Query(alias="last_event_id")] = None,
    ) -> Response:
        """Server-sent events from the first one, or after `Last-Event-ID`; the stream ends with the task. A client
        that comes back after the last event gets 204, which tells it to stop."""
        position = _position(last_event_id or after)
        first = await api.ledger.events(tenant, task_id, position, 0)
        if not first and (await api.ledger.get(tenant, task_id)).state.terminal:
            first = await api.ledger.events(tenant, task_id, position, 0)  # it may have ended between the two reads
            if not first:
                return Response(status_code=204)
        return EventStream(_follow(api, tenant, task_id, position, first), slots)

    @router.get("/tasks/{task_id}/graph", response_model=LineageGraph, responses=problems(HTTPStatus.NOT_FOUND))
    async def graph(tenant: Tenant, task_id: TaskId, api: Services) -> Response:
        """Nodes and edges of the task's lineage; empty until the task is stored."""
        try:
            lineage = await api.lineage.of_task(tenant, task_id)
        except TaskNotFound:
            await api.ledger.get(tenant, task_id)
            return JsonResponse({"nodes": [], "edges": []})
        return JsonResponse(lineage.model_dump(mode="json", by_alias=True))

    @router.get("/claims/{claim_id}/why", response_model=Why, responses=problems(HTTPStatus.NOT_FOUND))
    async def why(tenant: Tenant, claim_id: str, api: Services) -> Response:
        """Why a claim of an analysis stands in its report: the places in pages that bear it out, the task that made it,
        and the task's model calls. A claim's id is in the task's result; it is known here once the task is `stored`."""
        if not is_task_id(claim_id):
            raise ClaimNotFound("no such claim")
        return JsonResponse((await api.provenance.why(tenant, claim_id)).model_dump(mode="json"))

    return router


def _position(text: str | None) -> str:
    """The stream id to go on after. Raises InvalidInput for what the ledger would not understand."""
    if text is None:
        return "0"
    match = EVENT_ID.fullmatch(text)
    if match is None or any(int(part) > LARGEST_ID_PART for part in match.groups(default="0")):
        raise InvalidInput("not an event id", field="Last-Event-ID")
    return text


async def _follow(
    api: ApiServices, tenant: str, task_id: str, position: str, events: Sequence[TaskEvent]
) -> AsyncIterator[bytes]:
    """The stream's text. A comment goes out when nothing happened, so that dead connections are found. It ends after
    the event that ends the task, or once nothing more comes of a task that has ended."""
    try:
        while True:
            for event in events:
                position = event.id
                yield event_text(event)
            if events and events[-1].kind in TERMINAL:
                return
            # A reader may be ahead of all events, with an id that no event has: then the end does not come as one.
            ended = not events and (await api.ledger.get(tenant, task_id)).state.terminal
            if not events:
                yield b": waiting\n\n"
            events = await api.ledger.events(tenant, task_id, position, 0 if ended else BLOCK_MS)
            if ended and not events:
                return
    except CodeForgeError as error:
        # The answer has begun: the client is told in a comment, reconnects and resumes.
        log.warning("event_stream_ended", code=error.code)
        yield b": " + error.code.encode() + b"\n\n"
