"""Routes that follow a task: its events as they happen, and its lineage."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse

from codeforge.api.tasks import Services, TaskId
from codeforge.api.views import JsonResponse, event_text
from codeforge.errors import CodeForgeError, InvalidInput, TaskNotFound, TooManyStreams
from codeforge.logs import logger
from codeforge.task import TaskEvent, TaskState
from codeforge.wiring.api import ApiServices

log = logger(__name__)

MAX_STREAMS = 200
"""Open event streams per process; each holds one connection to the ledger while it waits."""

BLOCK_MS = 5_000
TERMINAL = frozenset(state.value for state in TaskState if state.terminal)


class StreamSlots:
    """Bounds the open streams of this process."""

    def __init__(self, limit: int) -> None:
        self._free = limit

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Holds a slot. Raises TooManyStreams."""
        if self._free == 0:
            raise TooManyStreams("too many open event streams; poll GET /tasks/{id} instead")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


def task_read_routes(tenant_of: Any) -> APIRouter:
    """The routes; `tenant_of` is the dependency that knows the request's tenant."""
    router = APIRouter(tags=["tasks"])
    slots = StreamSlots(MAX_STREAMS)
    Tenant = Annotated[str, Depends(tenant_of)]

    @router.get("/tasks/{task_id}/events", response_class=StreamingResponse)
    async def events(
        task_id: TaskId,
        tenant: Tenant,
        api: Services,
        last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
        after: Annotated[str | None, Query(alias="last_event_id")] = None,
    ) -> Response:
        """Server-sent events from the first one, or after `Last-Event-ID`; the stream ends with the task. A client
        that comes back after the last event gets 204, which tells it to stop."""
        position = _position(last_event_id or after)
        first = await api.ledger.events(tenant, task_id, position, 0)
        if not first and (await api.ledger.get(tenant, task_id)).state.terminal:
            return Response(status_code=204)
        stream = _follow(api, slots, tenant, task_id, position, first)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    @router.get("/tasks/{task_id}/graph")
    async def graph(task_id: TaskId, tenant: Tenant, api: Services) -> Response:
        """Nodes and edges of the task's lineage; empty until the task is stored."""
        try:
            lineage = await api.lineage.of_task(tenant, task_id)
        except TaskNotFound:
            await api.ledger.get(tenant, task_id)
            return JsonResponse({"nodes": [], "edges": []})
        return JsonResponse(lineage.model_dump(mode="json", by_alias=True))

    return router


def _position(text: str | None) -> str:
    if text is None:
        return "0"
    milliseconds, _, number = text.partition("-")
    if not (milliseconds.isdecimal() and (number.isdecimal() or not number)) or len(text) > 40:
        raise InvalidInput("not an event id", field="Last-Event-ID")
    return text


async def _follow(
    api: ApiServices, slots: StreamSlots, tenant: str, task_id: str, position: str, events: Sequence[TaskEvent]
) -> AsyncIterator[bytes]:
    """The stream's text. A comment goes out when nothing happened, so that dead connections are found."""
    try:
        async with slots.taken():
            while True:
                for event in events:
                    position = event.id
                    yield event_text(event)
                if events and events[-1].kind in TERMINAL:
                    return
                if not events:
                    yield b": waiting\n\n"
                events = await api.ledger.events(tenant, task_id, position, BLOCK_MS)
    except CodeForgeError as error:
        # The answer has begun: the client is told in a comment, reconnects and resumes.
        log.warning("event_stream_ended", code=error.code)
        yield b": " + error.code.encode() + b"\n\n"
