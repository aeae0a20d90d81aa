"""Requests as spans; what a client's own trace has to do with them is in its `traceparent` header (W3C)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from codeforge import tracing
from codeforge.tracing import Kind

ROUTE = "codeforge.route"
"""Where in the scope those leave their route who answer without the framework's routing."""

UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
SERVER_ERROR = 500


class TraceRequests:
    """Middleware: a span around each request but those of probes. Names and attributes: OpenTelemetry's semantic
    conventions for HTTP servers. Paths hold ids, so a span is named after its route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"] in UNTRACED:
            await self._app(scope, receive, send)
            return
        parent = dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1") or None
        method = scope["method"]
        with tracing.span(method, Kind.SERVER, {"http.request.method": method}, parent=parent) as span:

            async def answered(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set({"http.response.status_code": message["status"]})
                    if message["status"] >= SERVER_ERROR:
                        span.fail(str(message["status"]))
                await send(message)

            with bound_contextvars(trace_id=tracing.trace_id_of(tracing.traceparent())):
                await self._app(scope, receive, answered)
            route = getattr(scope.get("route"), "path", scope.get(ROUTE))
            if route is not None:
                span.name(f"{method} {route}")
                span.set({"http.route": route})
