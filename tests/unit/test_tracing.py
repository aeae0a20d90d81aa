"""Traces: nothing while they are off, and whole ones at a collector while they are on."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from codeforge import tracing
from codeforge.errors import ModelError, SettingsError
from codeforge.settings import load_settings
from codeforge.tracing import Kind
from tests.servers.celery_worker import wait_until
from tests.servers.otlp import OtlpServer
from tests.unit.traces import PARENT, SPAN_ID, TRACE_ID, sent, traced

SAMPLED = 1
SECRET = "a-secret-of-the-collector"

WHAT_IS_IMPORTED = """
import sys
import codeforge.api.server, codeforge.processes.projector, codeforge.processes.reaper
import workers.main, workers.suspects
from codeforge import tracing
from codeforge.settings import load_settings
SENDERS = ("opentelemetry.sdk.trace", "opentelemetry.exporter")
tracing.configure_tracing(load_settings(), "any")
with tracing.span("a") as span:
    span.set({"b": 1})
print(tracing.tracing_is_on(), tracing.traceparent(), [name for name in sys.modules if name.startswith(SENDERS)])
"""


@pytest.fixture
def on() -> Iterator[OtlpServer]:
    with traced(OTLP_HEADERS=f"x-key={SECRET}, x-other=b") as collector:
        yield collector


def test_no_process_imports_what_makes_and_sends_spans_while_traces_are_off() -> None:
    program = [sys.executable, "-c", WHAT_IS_IMPORTED]
    answer = subprocess.run(program, capture_output=True, text=True, timeout=60, check=True)
    assert answer.stdout == "False None []\n"


def test_spans_are_nested_and_carry_the_process_and_its_headers(on: OtlpServer) -> None:
    with tracing.span("outer", Kind.SERVER, {"n": 1, "words": ["a", "b"]}, parent=PARENT) as outer:
        outer.name("outer, later")
        with tracing.span("inner", Kind.CLIENT) as inner:
            inner.set({"done": True})
            context = tracing.traceparent()
    spans = sent(on)
    outer_span, inner_span = spans["outer, later"], spans["inner"]
    assert (outer_span.trace_id, outer_span.parent_id) == (TRACE_ID, SPAN_ID)
    assert (inner_span.trace_id, inner_span.parent_id) == (outer_span.trace_id, outer_span.span_id)
    assert context == f"00-{inner_span.trace_id}-{inner_span.span_id}-01"
    assert (outer_span.kind, outer_span.attributes) == ("server", {"n": 1, "words": ["a", "b"]})
    assert (inner_span.kind, inner_span.attributes, inner_span.failed) == ("client", {"done": True}, False)
    assert outer_span.service == "codeforge-test"
    assert (on.headers["x-key"], on.headers["x-other"]) == (SECRET, "b")


def test_exception_marks_the_span_with_its_code_and_tells_nothing_else(on: OtlpServer) -> None:
    with pytest.raises(ModelError), tracing.span("call"):
        raise ModelError("the prompt was: hidden", code="model_refused")
    with pytest.raises(KeyError), tracing.span("bug"):
        raise KeyError("hidden")
    spans = sent(on)
    assert (spans["call"].failed, spans["call"].attributes) == (True, {"error.type": "model_refused"})
    assert (spans["bug"].failed, spans["bug"].attributes) == (True, {"error.type": "KeyError"})
    assert not [body for body in on.raw if b"hidden" in body]


def test_what_is_over_is_recorded_with_its_times(on: OtlpServer) -> None:
    tracing.record("wait", 5_000, 9_000, Kind.CONSUMER, {"a": "b"}, parent=PARENT)
    span = sent(on)["wait"]
    assert (span.begun_ns, span.ended_ns, span.kind, span.parent_id) == (5_000, 9_000, "consumer", SPAN_ID)


def test_no_traceparent_begins_a_trace_of_its_own(on: OtlpServer) -> None:
    for odd in ("", "00-zz", PARENT[:-3], "00-" + "0" * 32 + PARENT[35:]):
        with tracing.span(f"from {odd}", parent=odd):
            pass
    spans = sent(on)
    assert len({span.trace_id for span in spans.values()} - {TRACE_ID}) == 4
    assert {span.parent_id for span in spans.values()} == {""}


@pytest.mark.parametrize(("parent", "kept"), [(None, False), (PARENT, True), (PARENT[:-1] + "0", False)])
def test_sample_ratio_decides_on_new_traces_only(parent: str | None, kept: bool) -> None:
    with traced(TRACE_SAMPLE_RATIO="0") as collector:
        with tracing.span("a", parent=parent):
            context = tracing.traceparent()
        assert bool(sent(collector)) is kept
    assert context is not None
    assert int(context[-2:], 16) & SAMPLED == kept


def test_spans_are_sent_while_the_process_runs(on: OtlpServer) -> None:
    with tracing.span("soon"):
        pass
    wait_until(lambda: bool(on.spans), "the span")


def test_collector_that_hangs_delays_the_end_by_little() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        tracing.configure_tracing(load_settings({"OTLP_ENDPOINT": address}), "test")
        with tracing.span("lost"):
            pass
        began = time.monotonic()
        tracing.end_tracing()
        assert time.monotonic() - began < 20  # the exporter alone waits for half a minute


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"OTLP_ENDPOINT": "collector:4318"}, "OTLP_ENDPOINT"),
        ({"OTLP_HEADERS": f"x-key={SECRET},{SECRET}"}, "OTLP_HEADERS"),
        ({"TRACE_SAMPLE_RATIO": "1.5"}, "TRACE_SAMPLE_RATIO"),
    ],
)
def test_wrong_setting_is_named_and_not_shown(given: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=f"CODEFORGE_{named}") as refusal:
        load_settings(given)
    assert SECRET not in str(refusal.value)
