"""Spans by OpenTelemetry's SDK, sent over OTLP/HTTP (https://opentelemetry.io/docs/specs/otlp/). Imported only where
traces are wanted."""

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from codeforge import __version__
from codeforge.tracing.port import Attributes, Kind, Spans

PATH = "/v1/traces"
EXPORT_TIMEOUT_S = 5.0
CLOSE_S = 1.5
"""Within what a worker's host allows its runtime for closing."""

SEND_EVERY_MS = 1_000
MAX_QUEUED = 8_192
"""Spans that wait to be sent; while a collector is away, the oldest are dropped."""

MAX_BATCH = 512

PROPAGATOR = TraceContextTextMapPropagator()


class OtlpTracer:
    """`Tracer` of one process. A new trace is kept with the probability `ratio`; one that came from elsewhere is kept
    where that side keeps it."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], ratio: float, process: str) -> None:
        resource = Resource(
            {
                "service.namespace": "codeforge",
                "service.name": f"codeforge-{process}",
                "service.version": __version__,
                "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
            }
        )
        exporter = OTLPSpanExporter(
            endpoint=endpoint.rstrip("/") + PATH, headers=dict(headers), timeout=EXPORT_TIMEOUT_S
        )
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)),
            resource=resource,
            shutdown_on_exit=False,  # it would wait for half a minute for a collector that is away
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=MAX_QUEUED,
                max_export_batch_size=MAX_BATCH,
                schedule_delay_millis=SEND_EVERY_MS,
            )
        )
        self._tracer = self._provider.get_tracer("codeforge", __version__)

    def span(self, name: str, kind: Kind, attributes: Attributes, parent: str | None) -> Spans:
        """See `codeforge.tracing.span`."""
        return self._entered(name, kind, attributes, parent)

    @contextmanager
    def _entered(self, name: str, kind: Kind, attributes: Attributes, parent: str | None) -> Iterator["OtlpSpan"]:
        # An exception's own text and trace may hold what a client wrote: only its code is told.
        with self._tracer.start_as_current_span(
            name,
            context=_context_of(parent),
            kind=trace.SpanKind[kind.value],
            attributes=dict(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as started:
            own = OtlpSpan(started)
            try:
                yield own
            except BaseException as error:
                own.fail(str(getattr(error, "code", type(error).__name__)))
                raise

    def record(
        self, name: str, begun_ns: int, ended_ns: int, kind: Kind, attributes: Attributes, parent: str | None
    ) -> None:
        """See `codeforge.tracing.record`."""
        over = self._tracer.start_span(
            name,
            context=_context_of(parent),
            kind=trace.SpanKind[kind.value],
            attributes=dict(attributes),
            start_time=begun_ns,
        )
        over.end(ended_ns)

    def current(self) -> str | None:
        """See `codeforge.tracing.traceparent`."""
        carrier: dict[str, str] = {}
        PROPAGATOR.inject(carrier)
        return carrier.get("traceparent")

    def close(self) -> None:
        """In a thread of its own: the SDK waits as long as its exporter, which tries again and again."""
        closing = threading.Thread(target=self._provider.shutdown, name="tracing-end", daemon=True)
        closing.start()
        closing.join(CLOSE_S)


class OtlpSpan:
    """`Span` over the SDK's."""

    def __init__(self, started: trace.Span) -> None:
        self._span = started

    def name(self, name: str) -> None:
        """See `Span.name`."""
        self._span.update_name(name)

    def set(self, attributes: Attributes) -> None:
        """See `Span.set`."""
        self._span.set_attributes(dict(attributes))

    def fail(self, error: str) -> None:
        """See `Span.fail`."""
        self._span.set_attribute("error.type", error)
        self._span.set_status(trace.StatusCode.ERROR)


def _context_of(parent: str | None) -> Context | None:
    """None keeps the current context, as the SDK has it. What is no traceparent begins a new trace."""
    return None if parent is None else PROPAGATOR.extract({"traceparent": parent}, Context())
