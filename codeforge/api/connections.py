"""Connections to the front door: what may come before a request is known has a bound, in bytes and in time. The server
has neither, and anybody who reaches it could fill its memory, or hold its connections, without a key."""

from collections.abc import Iterable
from typing import Any

from fastapi import Response
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from codeforge.api.body import MAX_BODY_BYTES, MAX_DISCARDED_BYTES
from codeforge.api.connection_limit import LimitedState
from codeforge.api.problems import problem

MAX_HEADER_BYTES = 64 * 1024
"""Of a request's line and headers, beside what came with their first bytes (at most one read of the socket)."""

MAX_MESSAGE_BYTES = MAX_BODY_BYTES + MAX_DISCARDED_BYTES
"""Of all that a request has; its body has a bound of its own, but what comes after it has none."""

HEADER_S = 30.0
"""How long a connection may be open, or a request have begun, before the headers are there."""


PROBES = frozenset({"/healthz", "/readyz"})
"""What is answered however many connections there are: a process that is busy must not be taken for dead."""


class TooMany:
    """Answers in place of the app on a connection that is one too many."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        answer = problem(503, "too_many_connections", "too many connections are open and at work: try again")
        answer.headers["Connection"] = "close"
        await answer(scope, receive, send)


class BoundedConnection(HttpToolsProtocol):
    """The server's protocol with bounds. Its answers to what is no request are problems too."""

    def __init__(self, config: Config, server_state: LimitedState, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, server_state, *args, **kwargs)
        self._limited = server_state
        self._waits_since = 0.0
        self._message: object = None
        self._bytes = 0
        self._since: float | None = None

    def connection_made(self, transport: Any) -> None:
        """asyncio.Protocol."""
        super().connection_made(transport)
        self._waits_since = self.loop.time()
        if self._limited.has_room(self._waits_since):
            return
        if self._limited.overflows:
            transport.abort()
        else:
            self.app = TooMany(self.app)

    def on_response_complete(self) -> None:
        """Of the request."""
        self._waits_since = self.loop.time()
        super().on_response_complete()

    def idle_since(self) -> tuple[bool, float] | None:
        """See `connection_limit.Connection`."""
        if self.cycle is None or self.cycle.response_complete:
            return self.cycle is not None, self._waits_since
        return None

    def leave(self) -> None:
        """See `connection_limit.Connection`."""
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """asyncio.Protocol."""
        super().data_received(data)
        if self.scope is not self._message:
            self._message, self._bytes, self._since = self.scope, 0, None
            return
        self._bytes += len(data)
        if self._awaits_headers():
            if self._bytes > MAX_HEADER_BYTES:
                self._end(problem(431, "headers_too_large", f"the headers may have {MAX_HEADER_BYTES} bytes"))
        elif self._bytes > MAX_MESSAGE_BYTES:
            self.transport.close()  # the request has its answer, or gets none: another one would be nobody's

    def look(self, now: float) -> None:
        """Ends a connection whose headers are not there in time; `now` is of a clock in seconds, and to be asked for
        every few of them."""
        if not self._awaits_headers():
            self._since = None
        elif self._since is None:
            self._since = now
        elif now - self._since > HEADER_S:
            self._end(problem(408, "headers_timeout", f"the headers did not come within {HEADER_S:.0f} s"))

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP."""
        self._end(problem(400, "bad_request", msg))

    def _awaits_headers(self) -> bool:
        return self.cycle is None or self.cycle.scope is not self.scope

    def _end(self, answer: Response) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:  # else another answer is under way
            headers = [b"%b: %b\r\n" % header for header in (*answer.raw_headers, (b"connection", b"close"))]
            self.transport.write(b"".join((STATUS_LINE[answer.status_code], *headers, b"\r\n", bytes(answer.body))))
        self.transport.close()


def look_at(connections: Iterable[object], now: float) -> None:
    """Looks at all of them."""
    for connection in list(connections):
        if isinstance(connection, BoundedConnection):
            connection.look(now)
