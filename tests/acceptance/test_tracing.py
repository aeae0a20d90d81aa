"""One trace from the request to both stores, over two workers, at a real receiver of OTLP."""

import os
import signal
from functools import partial

import pytest

from tests.acceptance.stack import Stack, eventually
from tests.servers.model import ModelServer, Scripted
from tests.servers.otlp import OtlpServer, ReceivedSpan

pytestmark = pytest.mark.slow

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CLIENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
LATE = ("POST /tasks", "invoke_agent debate", "outbox", "store graph", "store vectors")
PROMPT = "a-prompt-that-no-span-may-hold"
DEBATE = {"question": f"Tabs or spaces? {PROMPT}", "positions": ["tabs", "spaces"], "rounds": 1}


@pytest.fixture(scope="module")
def spans(mortal: Stack, slow_model: ModelServer, collector: OtlpServer) -> list[ReceivedSpan]:
    """Those of a task whose first worker was killed while its second model call hung."""
    slow_model.scripted = [Scripted(), Scripted(hang_s=60)]
    body = {"type": "debate", "input": DEBATE}
    answer = mortal.client.post("/tasks", json=body, headers={"traceparent": CLIENT})
    task_id = answer.json()["id"]
    eventually(lambda: len(slow_model.calls) == 2, "the second call")
    # What the worker has sent by then outlives it.
    eventually(lambda: any(span.name.startswith("chat ") for span in collector.of_trace(TRACE_ID)), "the first span")
    os.kill(mortal.ready["pids"]["worker"], signal.SIGKILL)
    task = mortal.finished(task_id)
    assert (task["state"], task["wait_s"] > 0, task["run_s"] > 0) == ("succeeded", True, True)
    for name in LATE:  # each process sends its own when it sees fit
        eventually(partial(found, collector, name), f"the span {name}")
    return collector.of_trace(TRACE_ID)


def found(collector: OtlpServer, name: str) -> list[ReceivedSpan]:
    return named(collector.of_trace(TRACE_ID), name)


def named(spans: list[ReceivedSpan], name: str) -> list[ReceivedSpan]:
    return [span for span in spans if span.name == name]


def test_the_trace_leads_from_the_client_through_both_workers_to_both_stores(spans: list[ReceivedSpan]) -> None:
    (request,) = named(spans, "POST /tasks")
    assert (request.service, request.kind, request.parent_id) == ("codeforge-api", "server", CLIENT[36:52])
    assert request.attributes["http.response.status_code"] == 202
    waits, (attempt,) = named(spans, "queue debate"), named(spans, "invoke_agent debate")  # the first never ended
    assert len({wait.instance for wait in waits}) == len(waits) == 2
    assert attempt.instance == waits[1].instance
    assert attempt.attributes["gen_ai.agent.name"] == "debate"
    assert attempt.attributes["codeforge.outcome"] == "succeeded"
    (outbox,), (graph,), (vectors,) = (named(spans, name) for name in ("outbox", "store graph", "store vectors"))
    assert {span.parent_id for span in (*waits, attempt, outbox, graph, vectors)} == {request.span_id}
    assert (graph.attributes["db.system.name"], vectors.attributes["db.system.name"]) == ("neo4j", "qdrant")
    moments = [request.begun_ns, waits[1].ended_ns, attempt.begun_ns, graph.ended_ns]
    assert moments == sorted(moments)


def test_model_calls_follow_the_conventions(spans: list[ReceivedSpan], slow_model: ModelServer) -> None:
    calls = [span for span in spans if span.name.startswith("chat ")]
    (attempt,) = named(spans, "invoke_agent debate")
    first, *others = calls
    assert first.instance != attempt.instance
    assert {span.parent_id for span in others} == {attempt.span_id}
    assert len(calls) == len(slow_model.calls) - 1  # the one that hung died with its worker
    for span in calls:
        assert span.kind == "client"
        assert span.attributes["gen_ai.operation.name"] == "chat"
        assert span.attributes["gen_ai.request.model"] == span.attributes["gen_ai.response.model"] == "test-model"
        assert span.attributes["gen_ai.response.finish_reasons"] == ["stop"]
        assert span.attributes["gen_ai.usage.output_tokens"] > 0
        assert span.attributes["server.address"] == "127.0.0.1"


def test_no_span_holds_a_prompt(spans: list[ReceivedSpan], collector: OtlpServer) -> None:
    assert spans
    assert not [body for body in collector.raw if PROMPT.encode() in body]


def test_metrics_lead_to_the_trace(mortal: Stack, spans: list[ReceivedSpan]) -> None:
    assert spans
    answer = mortal.client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert f'# {{trace_id="{TRACE_ID}"}}' in answer.text
