"""Requests as spans, and what tasks keep of them."""

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from tests.unit.api.door import SCRAPE, opened
from tests.unit.traces import PARENT, SPAN_ID, TRACE_ID, sent, traced

pytestmark = pytest.mark.anyio


async def test_submission_continues_the_client_s_trace_and_the_task_keeps_it() -> None:
    with traced() as collector:
        async with opened() as door:
            answer = await door.http.post("/tasks", json=SCRAPE, headers={"traceparent": PARENT})
            task_id = answer.json()["id"]
            (row,) = door.ledger.rows.values()
        span = sent(collector)["POST /tasks"]
    assert (span.trace_id, span.parent_id, span.kind) == (TRACE_ID, SPAN_ID, "server")
    assert span.attributes == {"http.request.method": "POST", "http.route": "/tasks", "http.response.status_code": 202}
    assert row.task.id == task_id
    assert row.task.trace is not None
    assert row.task.trace[3:52] == f"{TRACE_ID}-{span.span_id}"


async def test_span_is_named_after_the_route_and_holds_no_id_and_no_words() -> None:
    with traced() as collector:
        async with opened() as door:
            task_id = await door.submitted()
            await door.http.get(f"/tasks/{task_id}")
            await door.http.get("/search", params={"q": "hidden"})
            await door.http.get("/nowhere/hidden")
            for probe in ("/healthz", "/readyz", "/metrics"):
                await door.http.get(probe)
        spans = sent(collector)
    assert set(spans) == {"POST /tasks", "GET /tasks/{task_id}", "GET /search", "GET"}
    assert not [body for body in collector.raw if b"hidden" in body]
    assert not [body for body in collector.raw if task_id.encode() in body]


async def test_failure_of_the_service_is_one_of_the_span_and_its_log_line_has_the_trace() -> None:
    with traced() as collector:
        async with opened() as door:
            door.ledger.down = True
            with capture_logs(processors=[merge_contextvars]) as logs:
                await door.http.get("/queues", headers={"traceparent": PARENT})
        span = sent(collector)["GET /queues"]
    assert (span.failed, span.attributes["error.type"]) == (True, "503")
    assert [(line["event"], line["trace_id"]) for line in logs] == [("request_not_served", TRACE_ID)]


async def test_without_tracing_a_client_s_trace_is_not_kept() -> None:
    async with opened() as door:
        await door.http.post("/tasks", json=SCRAPE, headers={"traceparent": PARENT})
        (row,) = door.ledger.rows.values()
    assert row.task.trace is None
