"""Traces by OpenTelemetry, one matter of the whole process as its logs are. Off unless OTLP_ENDPOINT is set: what
makes and sends spans is not imported then, and a span costs a function call.

A trace context travels as its traceparent (https://www.w3.org/TR/trace-context/: `00-<trace id>-<span id>-<flags>`).
Spans carry ids, names and counts; never an input, a prompt, an answer or a URL.
"""

from codeforge.settings import Settings
from codeforge.tracing.port import NO_SPAN, NOTHING, Attributes, Kind, NoTracer, Span, Spans, Tracer

__all__ = [
    "NOTHING",
    "NO_SPAN",
    "Attributes",
    "Kind",
    "Span",
    "Spans",
    "configure_tracing",
    "end_tracing",
    "record",
    "span",
    "trace_id_of",
    "traceparent",
    "tracing_is_on",
]

_tracer: Tracer = NoTracer()


def configure_tracing(settings: Settings, process: str) -> None:
    """Has the process, called so in its spans, send them to OTLP_ENDPOINT; without one, nothing happens."""
    global _tracer
    if settings.otlp_endpoint is None:
        return
    from codeforge.tracing.otlp import OtlpTracer

    _tracer = OtlpTracer(settings.otlp_endpoint, dict(settings.otlp_header_pairs), settings.trace_sample_ratio, process)


def end_tracing() -> None:
    """Sends what has not been sent yet, for some seconds at most. Blocks."""
    global _tracer
    ended, _tracer = _tracer, NoTracer()
    ended.close()


def tracing_is_on() -> bool:
    """Whether spans go anywhere."""
    return not isinstance(_tracer, NoTracer)


def span(
    name: str, kind: Kind = Kind.INTERNAL, attributes: Attributes = NOTHING, *, parent: str | None = None
) -> Spans:
    """A span around a `with` block; what is begun in there is below it. `parent` is a traceparent from elsewhere; else
    it is the current span. An exception that leaves the block marks it with its code, or its class."""
    return _tracer.span(name, kind, attributes, parent)


def record(
    name: str,
    begun_ns: int,
    ended_ns: int,
    kind: Kind = Kind.INTERNAL,
    attributes: Attributes = NOTHING,
    *,
    parent: str | None = None,
) -> None:
    """A span of what is over. Times are nanoseconds since the epoch."""
    _tracer.record(name, begun_ns, ended_ns, kind, attributes, parent)


def traceparent() -> str | None:
    """The current span's trace context."""
    return _tracer.current()


def trace_id_of(context: str | None) -> str | None:
    """The trace id in a traceparent."""
    return None if context is None else context[3:35]
