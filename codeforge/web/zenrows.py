"""ZenRows' Universal Scraper API: `GET /v1/?apikey=...&url=...&js_render=true`.

Parameters and headers: https://docs.zenrows.com/universal-scraper-api/api-reference; errors are JSON with `code`,
`detail`, `status` and `title`: https://docs.zenrows.com/api-error-codes. The key travels in the query, as that
service wants it, so no URL of this module may reach a log or a message.
"""

import asyncio
import json
import math
import random
import re
from dataclasses import dataclass
from http import HTTPStatus

import httpx
from pydantic import SecretStr

from codeforge.errors import FetchError
from codeforge.retry_after import retry_after_s
from codeforge.web.body import ACCEPT_ENCODING, read_body
from codeforge.web.document import Download
from codeforge.web.failures import status_failure
from codeforge.web.media_type import HTML, MediaType
from codeforge.web.rendering import Rendered

_ERROR_CODE = re.compile(r"[A-Z]{3,5}[0-9]{3,4}")
_NO_KEY_OR_MONEY = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN})
_MAX_DETAIL_CHARS = 200
_PATH = "/v1/"


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """What ZenRows is asked for. `wait_ms` is how long a page's scripts may run after it loaded; `block` names kinds of
    resources that are not loaded, comma-separated. A challenge is always met with the premium proxies."""

    wait_ms: int = 2_000
    premium_proxy: bool = False
    proxy_country: str | None = None
    block: str = "image,media,font"


@dataclass(frozen=True, slots=True)
class RenderLimits:
    """Bounds of a process and of one page. Times in seconds; `at_once` is what the plan allows: a request beyond it is
    refused, and many of those get a key banned. A service that asks for a longer wait than `retry_after_s` is not asked
    again."""

    at_once: int = 5
    total_s: float = 120.0
    connect_s: float = 5.0
    attempts: int = 3
    delay_s: float = 1.0
    retry_after_s: float = 20.0
    body_bytes: int = 5 * 1024 * 1024


class ZenRows:
    """The Renderer. Its address is the operator's, so no guard stands before it; the page's URL has passed one."""

    def __init__(
        self, base_url: str, key: SecretStr, options: RenderOptions | None = None, limits: RenderLimits | None = None
    ) -> None:
        self._key = key
        self._options = options or RenderOptions()
        self._limits = limits or RenderLimits()
        self._slots = asyncio.Semaphore(self._limits.at_once)
        self._client = httpx.AsyncClient(
            base_url=base_url.rstrip("/").removesuffix("/v1"),  # with or without, as its documentation has both
            headers={"Accept-Encoding": ACCEPT_ENCODING},
            timeout=httpx.Timeout(self._limits.total_s, connect=self._limits.connect_s),
            trust_env=False,
        )

    async def render(self, url: str, *, unblock: bool, within_s: float) -> Rendered:
        """See `Renderer.render`."""
        limit_s = min(within_s, self._limits.total_s)
        try:
            async with asyncio.timeout(max(0.0, limit_s)), self._slots:
                return await self._with_retries(url, self._parameters(url, unblock=unblock))
        except TimeoutError as exc:
            message = f"the page was not rendered within {limit_s:.0f} s"
            raise FetchError(message, code="timeout", url=url, retryable=True) from exc

    async def close(self) -> None:
        """See `Renderer.close`."""
        await self._client.aclose()

    def _parameters(self, url: str, *, unblock: bool) -> dict[str, str]:
        options = self._options
        asked = {"apikey": self._key.get_secret_value(), "url": url, "js_render": "true", "original_status": "true"}
        if options.wait_ms:
            asked["wait"] = str(options.wait_ms)
        if options.block:
            asked["block_resources"] = options.block
        if unblock or options.premium_proxy or options.proxy_country:  # a country needs the premium proxies
            asked["premium_proxy"] = "true"
        if options.proxy_country:
            asked["proxy_country"] = options.proxy_country
        return asked

    async def _with_retries(self, url: str, parameters: dict[str, str]) -> Rendered:
        for attempts_left in reversed(range(self._limits.attempts)):
            try:
                return await self._ask(url, parameters)
            except _Busy as busy:
                if not attempts_left or busy.asked_s > self._limits.retry_after_s:
                    raise busy.failure from None
                waits = self._limits.delay_s * 2 ** (self._limits.attempts - 1 - attempts_left)
                await asyncio.sleep(max(busy.asked_s, waits * random.uniform(0.5, 1.5)))  # noqa: S311  # no secret
        raise AssertionError("the last attempt returns or raises")

    async def _ask(self, url: str, parameters: dict[str, str]) -> Rendered:
        try:
            async with self._client.stream("GET", _PATH, params=parameters) as answer:
                coding = answer.headers.get("content-encoding", "")
                body = await read_body(answer.aiter_raw(), coding, cap=self._limits.body_bytes, url=url)
        except httpx.HTTPError:  # whose request holds the key
            failure = FetchError("ZenRows could not be reached", code="render_failed", url=url, retryable=True)
            raise _Busy(failure) from None
        media_type = MediaType.parse(answer.headers.get("content-type", "")).settled(body)
        if error := _own_error(body, media_type):
            raise self._failure(answer, *error, url)
        if answer.status_code >= HTTPStatus.BAD_REQUEST:  # the page's own status
            raise status_failure(answer.status_code, answer.headers.get("retry-after"), url)
        if not media_type.readable:
            media_type = MediaType(HTML, media_type.charset)
        final_url = answer.headers.get("zr-final-url", "") or url
        download = Download(url, final_url, answer.status_code, media_type, body)
        return Rendered(download, _number(answer.headers.get("x-request-cost")))

    def _failure(self, answer: httpx.Response, code: str, detail: str, url: str) -> Exception:
        """ZenRows' own refusal, told apart from the page's by its body."""
        said = " ".join(detail.replace(self._key.get_secret_value(), "***").split())[:_MAX_DETAIL_CHARS]
        message = f"ZenRows answered {answer.status_code} {code}: {said}"
        status = answer.status_code
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            asked = retry_after_s(answer.headers.get("retry-after")) or 0.0
            return _Busy(FetchError(message, code="render_rate_limited", url=url, retryable=True), asked)
        if status in _NO_KEY_OR_MONEY or status == HTTPStatus.BAD_REQUEST:
            return FetchError(message, code="render_refused", url=url)
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return FetchError(message, code="too_large", url=url)
        if status == HTTPStatus.NOT_FOUND:
            return FetchError(message, code="http_status", url=url)
        return _Busy(FetchError(message, code="render_failed", url=url, retryable=True))


class _Busy(Exception):
    """Another try may fare better, after `asked_s` seconds at least."""

    def __init__(self, failure: FetchError, asked_s: float = 0.0) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.asked_s = asked_s


def _own_error(body: bytes, media_type: MediaType) -> tuple[str, str] | None:
    """Code and detail, where the body is an error of ZenRows' own."""
    if "json" not in media_type.name:
        return None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):  # the page's own body may be any JSON
        return None
    code = found.get("code") if isinstance(found, dict) else None
    if not isinstance(code, str) or not _ERROR_CODE.fullmatch(code):
        return None
    return code, str(found.get("detail") or found.get("title") or "")


def _number(text: str | None) -> float:
    try:
        cost = float(text or 0)
    except ValueError:
        return 0.0
    return max(0.0, cost) if math.isfinite(cost) else 0.0
