"""Local search services in the wire formats of Tavily and Exa, on free loopback ports, each in a thread of its own.

Sources: https://docs.tavily.com/documentation/api-reference/endpoint/search (errors: `{"detail": {"error": ...}}`) and
https://exa.ai/docs/reference/search, https://exa.ai/docs/admin/error-codes (errors: `requestId`, `error`, `tag`).
"""

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

JsonObject = dict[str, Any]
STOP_S = 10.0
REQUEST_ID = "b5947044c4b78efa9552a7c89b306d95"


@dataclass(frozen=True, slots=True)
class Found:
    """One result that a service knows."""

    url: str
    title: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A prepared answer in place of results. `body` None sends the service's own error of that status; bytes go out as
    they are."""

    status: int
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False


class SearchApi:
    """A search service. `failures` go out first, one a request; `requests` are the bodies that arrived."""

    def __init__(self, key: str, results: list[Found]) -> None:
        self.key = key
        self.results = results
        self.failures: deque[Failure] = deque()
        self.requests: list[JsonObject] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def base_url(self) -> str:
        """Its address, for the setting."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(STOP_S)

    def answer(self, headers: dict[str, str], body: JsonObject) -> tuple[int, JsonObject]:
        """Status and body for one request."""
        raise NotImplementedError

    def error(self, status: int) -> JsonObject:
        """The service's own error body."""
        raise NotImplementedError


class TavilyApi(SearchApi):
    """Tavily: `results[]` with `title`, `url`, `content`, `score`, `raw_content`."""

    def answer(self, headers: dict[str, str], body: JsonObject) -> tuple[int, JsonObject]:
        """401 without the bearer key; 400 for a query that is missing or longer than 400 characters."""
        if headers.get("authorization") != f"Bearer {self.key}":
            return 401, self.error(401)
        query, limit = body.get("query"), body.get("max_results", 5)
        if not query or len(query) > 400 or not 0 <= limit <= 20:
            return 400, self.error(400)
        results = [
            {"title": found.title, "url": found.url, "content": found.text, "score": 0.9, "raw_content": None}
            for found in self.results[:limit]
        ]
        reply = {"query": query, "follow_up_questions": None, "answer": None, "images": [], "results": results}
        return 200, {**reply, "response_time": 0.42, "request_id": REQUEST_ID}

    def error(self, status: int) -> JsonObject:
        """`detail.error`."""
        known = {
            400: "Query is missing or too long. Max query length is 400 characters.",
            401: f"Unauthorized: missing or invalid API key. ({self.key})",  # the worst case: it repeats the key
            429: "Your request has been blocked due to excessive requests. Please reduce rate of requests.",
            432: "This request exceeds your plan's set usage limit.",
        }
        return {"detail": {"error": known.get(status, "Internal Server Error")}}


class ExaApi(SearchApi):
    """Exa: `results[]` with `id`, `title`, `url`, `highlights`."""

    def answer(self, headers: dict[str, str], body: JsonObject) -> tuple[int, JsonObject]:
        """401 without `x-api-key`; 400 for a query that is missing or more than 100 results."""
        if headers.get("x-api-key") != self.key:
            return 401, self.error(401)
        if not body.get("query") or not 1 <= body.get("numResults", 10) <= 100:
            return 400, self.error(400)
        with_highlights = bool(body.get("contents", {}).get("highlights"))
        results = [
            {"id": found.url, "title": found.title, "url": found.url, "publishedDate": None, "author": None}
            | ({"highlights": [found.text], "highlightScores": [0.5]} if with_highlights else {})
            for found in self.results[: body.get("numResults", 10)]
        ]
        cost = {"total": 0.005}
        return 200, {"requestId": REQUEST_ID, "resolvedSearchType": "neural", "results": results, "costDollars": cost}

    def error(self, status: int) -> JsonObject:
        """`requestId`, `error`, `tag`."""
        known = {
            400: ("Invalid request body", "INVALID_REQUEST_BODY"),
            401: ("Invalid API key", "INVALID_API_KEY"),
            402: ("You have exceeded your credits limit", "NO_MORE_CREDITS"),
            429: ("You have exceeded your rate limit", "RATE_LIMIT_EXCEEDED"),
        }
        text, tag = known.get(status, ("Internal error", "INTERNAL_ERROR"))
        return {"requestId": REQUEST_ID, "error": text, "tag": tag}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    api: SearchApi


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        api = self.server.api
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        api.requests.append(body)
        failure = api.failures.popleft() if api.failures else None
        if failure is not None and failure.drop:
            self.close_connection = True
        elif failure is not None:
            self._send(failure.status, failure.body or json.dumps(api.error(failure.status)).encode(), failure.headers)
        elif self.path != "/search":
            self._send(404, b"{}", {})
        else:
            status, reply = api.answer({name.lower(): value for name, value in self.headers.items()}, body)
            self._send(status, json.dumps(reply).encode(), {})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the tests' output clean."""
