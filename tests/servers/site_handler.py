"""One request to the local site, and the ways to answer it."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

HTML = "text/html; charset=utf-8"


class SiteServer(ThreadingHTTPServer):
    """A thread a connection. `respond` answers a request; `hits` counts them by path, `times` has when each came, and
    `most_at_once` is how many were ever under way together."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, port: int, respond: "Callable[[Handler], None]") -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.respond = respond
        self.hits: Counter[str] = Counter()
        self.connections = 0
        self.robots: str | None = None
        self.pages: dict[str, str] = {}
        self.page_s = 0.0
        self.at_once = 0
        self.most_at_once = 0
        self.times: dict[str, list[float]] = {}
        self.lock = threading.Lock()
        self.stopping = threading.Event()

    def process_request(self, request, client_address):  # type: ignore[no-untyped-def]  # the base class has no types
        """Counts the connection."""
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request, client_address):  # type: ignore[no-untyped-def]
        """Says nothing: clients that hang up in the middle of a page are what the tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "SiteServer"

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.hits[self.page] += 1
            server.times.setdefault(self.page, []).append(time.monotonic())
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        self._under_way = True
        try:
            server.respond(self)
        finally:
            self._leave()

    def _leave(self) -> None:
        """Counted before the answer goes out: who has it may be back before this thread goes on."""
        with self.server.lock:
            self.server.at_once -= self._under_way
        self._under_way = False

    @property
    def page(self) -> str:
        """The path without the query."""
        return urlsplit(self.path).path

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the tests' output clean."""

    def answer(
        self,
        body: str | bytes,
        *,
        content_type: str | None = HTML,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        data = body.encode() if isinstance(body, str) else body
        self._leave()
        self.send_response(status)
        if content_type is not None:
            self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def redirect(self, location: str, status: int = 302) -> None:
        self.answer("", status=status, headers={"Location": location})

    def first_time(self) -> bool:
        return self.server.hits[self.page] == 1

    def query(self, name: str) -> str:
        return parse_qs(urlsplit(self.path).query)[name][0]

    def wait(self, seconds: float) -> None:
        self.server.stopping.wait(seconds)

    def hang_up(self) -> None:
        self.close_connection = True
