"""What the API answers: tasks as JSON. Results and labels pass through as the text that the ledger holds."""

from datetime import UTC, datetime
from typing import Any

import orjson
from fastapi import Response

from codeforge.submission import Accepted
from codeforge.task import Task, TaskEvent


class JsonResponse(Response):
    """JSON by orjson, which can embed ready JSON text (`orjson.Fragment`)."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Serialises."""
        return orjson.dumps(content)


def iso(milliseconds: int | None) -> str | None:
    """RFC 3339 in UTC with milliseconds."""
    if milliseconds is None:
        return None
    moment = datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def links(task_id: str) -> dict[str, str]:
    """Where to go from here."""
    return {
        "self": f"/tasks/{task_id}",
        "events": f"/tasks/{task_id}/events",
        "graph": f"/tasks/{task_id}/graph",
    }


def accepted_view(task: Accepted) -> dict[str, Any]:
    """The answer to a submission."""
    return {
        "id": task.id,
        "type": task.type.value,
        "state": task.state.value,
        "created_at": iso(task.created_at),
        "links": links(task.id),
    }


def task_view(task: Task, *, with_result: bool = True) -> dict[str, Any]:
    """One task. `result` is null until it succeeded, and left out of lists."""
    view: dict[str, Any] = {
        "id": task.id,
        "type": task.type.value,
        "state": task.state.value,
        "priority": task.priority.value,
        "attempts": task.attempts,
        "max_attempts": task.max_attempts,
        "timeout_s": task.timeout_s,
        "created_at": iso(task.created_at),
        "started_at": iso(task.started_at),
        "finished_at": iso(task.finished_at),
        "not_before": iso(task.not_before),
        "progress": _fields(task.progress),
        "usage": _fields(task.usage),
        "wait_s": task.wait_ms / 1000,
        "run_s": task.run_ms / 1000,
        "sandbox_peak_bytes": None,  # there is no sandbox yet
        "budget": None if task.budget_tokens is None else {"tokens": task.budget_tokens},
        "error": _fields(task.error),
        "attempt_errors": orjson.Fragment(task.reasons),
        "stored": task.stored,
        "labels": orjson.Fragment(task.labels),
        "parent_id": task.parent_id,
        "links": links(task.id),
    }
    if with_result:
        view["result"] = orjson.Fragment(task.result) if task.result is not None else None
    return view


def _fields(value: Any) -> dict[str, Any] | None:
    return None if value is None else {name: getattr(value, name) for name in value.__slots__}


def event_text(event: TaskEvent) -> bytes:
    """One server-sent event (WHATWG HTML, "Server-sent events")."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event.id.encode(), event.kind.encode(), orjson.dumps(event.data))
