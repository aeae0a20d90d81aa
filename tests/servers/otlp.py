"""A collector of traces, as far as OTLP/HTTP goes (https://opentelemetry.io/docs/specs/otlp/#otlphttp): takes protobuf
requests at /v1/traces and keeps their spans."""

import gzip
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

MEDIA_TYPE = "application/x-protobuf"
SPAN_KINDS = ("", "internal", "server", "client", "producer", "consumer")
ERROR = 2


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """One span. Ids are hex; times are nanoseconds since the epoch."""

    service: str
    instance: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    begun_ns: int
    ended_ns: int
    failed: bool
    attributes: dict[str, Any]


class OtlpServer:
    """The collector. `spans` are all that have arrived, `headers` those of the last request, `raw` every body."""

    def __init__(self) -> None:
        self.spans: list[ReceivedSpan] = []
        self.headers: dict[str, str] = {}
        self.raw: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                right = self.path == "/v1/traces" and self.headers["Content-Type"] == MEDIA_TYPE
                if right:
                    zipped = self.headers.get("Content-Encoding") == "gzip"
                    collector.take(dict(self.headers), gzip.decompress(body) if zipped else body)
                self.send_response(200 if right else 404)
                self.send_header("Content-Type", MEDIA_TYPE)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="otlp-server", daemon=True)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def take(self, headers: dict[str, str], body: bytes) -> None:
        """A request."""
        self.headers = headers
        self.raw.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = _attributes(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [_received(about, span) for span in scope.spans]

    def of_trace(self, trace_id: str) -> list[ReceivedSpan]:
        """The spans of one trace, by when they began."""
        return sorted((span for span in self.spans if span.trace_id == trace_id), key=lambda span: span.begun_ns)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


def _received(about: dict[str, Any], span: Any) -> ReceivedSpan:
    return ReceivedSpan(
        about["service.name"],
        about["service.instance.id"],
        span.name,
        SPAN_KINDS[span.kind],
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code == ERROR,
        _attributes(span.attributes),
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind)
