"""ZenRows' Universal Scraper API on a loopback port, in its wire format.

`GET /v1/?apikey=...&url=...` answers a page's HTML with `X-Request-Cost`, `Concurrency-Limit`, `Concurrency-Remaining`
and `Zr-Final-Url`, or an error as JSON: `code`, `detail`, `instance`, `status`, `title`, `type`. Sources:
https://docs.zenrows.com/universal-scraper-api/api-reference and https://docs.zenrows.com/api-error-codes.
"""

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

STOP_S = 10.0
PLAIN_COST, RENDER_FACTOR, PREMIUM_FACTOR, BOTH_FACTOR = 0.00028, 5, 10, 25

ERRORS = {
    "AUTH001": (401, "The apikey is missing"),
    "AUTH002": (401, "The apikey is invalid"),
    "AUTH004": (402, "Usage exceeded"),
    "AUTH006": (429, "Concurrency limit exceeded"),
    "AUTH008": (429, "Rate limit exceeded"),
    "REQS001": (400, "Requests to this domain are forbidden"),
    "REQS004": (400, "Invalid params"),
    "RESP001": (422, "Could not get content. Try enabling a higher level of services"),
    "RESP002": (404, "Page not found"),
    "RESP003": (413, "Response size too big"),
    "CTX0002": (504, "Operation timed out"),
}


@dataclass(frozen=True, slots=True)
class Browsed:
    """What the service's browser finds at an address: its HTML or what it has instead, the status, where it ended."""

    html: str
    status: int = 200
    final_url: str = ""
    needs_premium: bool = False
    media_type: str = "text/html; charset=utf-8"


@dataclass
class ZenRowsApi:
    """The service. `pages` is the web as its browser sees it; `errors` go out first, a code a request; `hold` keeps
    answers back until it is set. `requests` are the parameters that arrived, `most_at_once` how many ran together."""

    key: str = "zenrows-key"
    pages: dict[str, Browsed] = field(default_factory=dict)
    concurrency: int = 5
    errors: deque[str] = field(default_factory=deque)
    retry_after: str = ""
    hold: threading.Event = field(default_factory=threading.Event)
    requests: list[dict[str, str]] = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0

    def __post_init__(self) -> None:
        self.hold.set()
        self.lock = threading.Lock()
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
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(STOP_S)

    def problem(self, asked: dict[str, str]) -> str | None:
        """The error code that a request deserves."""
        if not asked.get("apikey"):
            return "AUTH001"
        if asked["apikey"] != self.key:
            return "AUTH002"
        if not asked.get("url") or not set(asked) <= _PARAMETERS or not asked.get("wait", "0").isdigit():
            return "REQS004"
        if asked.get("proxy_country") and asked.get("premium_proxy") != "true":
            return "REQS004"
        if self.errors:
            return self.errors.popleft()
        page = self.pages.get(asked["url"])
        if page is None:
            return "RESP002"
        if page.needs_premium and asked.get("premium_proxy") != "true":
            return "RESP001"
        return None


_PARAMETERS = {
    *("apikey", "url", "js_render", "wait", "wait_for", "premium_proxy", "proxy_country", "block_resources"),
    *("original_status", "allowed_status_codes", "session_id", "device", "custom_headers", "json_response"),
}


def cost(asked: dict[str, str]) -> float:
    """A request's price by the published factors."""
    rendered, premium = asked.get("js_render") == "true", asked.get("premium_proxy") == "true"
    factor = {(False, False): 1, (True, False): RENDER_FACTOR, (False, True): PREMIUM_FACTOR, (True, True): BOTH_FACTOR}
    return PLAIN_COST * factor[rendered, premium]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    api: ZenRowsApi


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    _under_way = False

    def do_GET(self) -> None:
        api = self.server.api
        if urlsplit(self.path).path not in ("/v1", "/v1/"):
            self._send(404, "text/plain", b"404 page not found", {})
            return
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        with api.lock:
            api.requests.append(asked)
            api.at_once += 1
            api.most_at_once = max(api.most_at_once, api.at_once)
            crowded = api.at_once > api.concurrency
        self._under_way = True
        try:
            self._answer(api, asked, crowded=crowded)
        finally:
            self._leave()

    def _leave(self) -> None:
        """Counted before the answer goes out: who has it may be back before this thread goes on."""
        with self.server.api.lock:
            self.server.api.at_once -= self._under_way
        self._under_way = False

    def _answer(self, api: ZenRowsApi, asked: dict[str, str], *, crowded: bool) -> None:
        code = "AUTH006" if crowded else api.problem(asked)
        if code is not None:
            self._send_error_of(code, api)
            return
        api.hold.wait(STOP_S)
        page = api.pages[asked["url"]]
        headers = {"X-Request-Cost": f"{cost(asked):.5f}", "Zr-Final-Url": page.final_url or asked["url"]}
        status = page.status if asked.get("original_status") == "true" else 200
        self._send(status, page.media_type, page.html.encode(), headers)

    def _send_error_of(self, code: str, api: ZenRowsApi) -> None:
        status, title = ERRORS[code]
        detail = f"{title} ({code}) for key {api.key}"  # the worst case: it repeats the key
        body = {"code": code, "detail": detail, "instance": "/v1", "status": status, "title": title, "type": ""}
        headers = {"Retry-After": api.retry_after} if status == 429 and api.retry_after else {}
        self._send(status, "application/json", json.dumps(body).encode(), headers)

    def _send(self, status: int, content_type: str, data: bytes, headers: dict[str, str]) -> None:
        api = self.server.api
        self.send_response(status)
        remaining = {
            "Concurrency-Limit": str(api.concurrency),
            "Concurrency-Remaining": str(api.concurrency - api.at_once),
        }
        about = {"Content-Type": content_type, "Content-Length": str(len(data)), "X-Request-Id": "b5947044c4b7"}
        self._leave()
        for name, value in {**about, **remaining, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the tests' output clean."""
