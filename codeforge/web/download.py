"""Getting one page's bytes: redirects, retries, deadline and cap."""

import asyncio
import random
from dataclasses import dataclass
from http import HTTPStatus

import httpcore
import httpx

from codeforge.errors import BlockedAddress, FetchError
from codeforge.web.body import ACCEPT_ENCODING, read_body, too_large
from codeforge.web.charset import decode
from codeforge.web.connections import GuardedConnections
from codeforge.web.document import Download
from codeforge.web.failures import TransportFailure, status_failure, status_phrase, transport_failure
from codeforge.web.guard import AddressGuard
from codeforge.web.judgement import is_challenge
from codeforge.web.media_type import MediaType
from codeforge.web.retry_after import retry_after_s

ACCEPT = "text/html, application/xhtml+xml, text/markdown;q=0.9, text/plain;q=0.8, */*;q=0.1"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAYBE_CHALLENGES = frozenset({403, 429, 503})
_CHALLENGE_BYTES = 256 * 1024
_RETRIED_CODES = frozenset({"connect_failed", "dns_failed", "bad_response"})


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """Bounds of one page. Times in seconds; `body_bytes` counts before and after decompression.

    `total_s` bounds redirects and retries together. A retry waits for about `retry_delay_s`, or for as long as the
    server asks; a server that asks for more than `retry_after_s` is not asked again.
    """

    total_s: float = 30.0
    connect_s: float = 10.0
    body_bytes: int = 5 * 1024 * 1024
    redirects: int = 5
    retries: int = 1
    retry_delay_s: float = 0.5
    retry_after_s: float = 3.0


@dataclass(frozen=True, slots=True)
class _Answer:
    """One hop's answer; only the body of a page, or of what may be a challenge, is read."""

    status: int
    headers: httpx.Headers
    media_type: MediaType
    body: bytes = b""
    challenge: bool = False


class Downloader:
    """Downloads pages over the guarded connections, which it does not own."""

    def __init__(
        self, guard: AddressGuard, connections: GuardedConnections, limits: DownloadLimits, *, user_agent: str
    ) -> None:
        self._guard = guard
        self._connections = connections
        self._limits = limits
        self._headers = {"User-Agent": user_agent, "Accept": ACCEPT, "Accept-Encoding": ACCEPT_ENCODING}
        waits = dict.fromkeys(("read", "write", "pool"), limits.total_s)
        self._timeouts = {"connect": limits.connect_s, **waits}

    async def download(self, url: str) -> Download:
        """Raises FetchError: every code of it but `render_not_configured`."""
        try:
            async with asyncio.timeout(self._limits.total_s):
                return await self._follow(url)
        except TimeoutError as exc:
            message = f"the page did not arrive within {self._limits.total_s:g} s"
            raise FetchError(message, code="timeout", url=url, retryable=True) from exc

    async def _follow(self, url: str) -> Download:
        """Follows redirects by hand, so that every address passes the guard before it is asked."""
        hop = self._checked(url, "url", url)
        passed = {str(hop)}
        for _ in range(self._limits.redirects + 1):
            answer = await self._ask_with_retry(hop, url)
            if answer.status not in _REDIRECTS:
                return _downloaded(answer, hop, url)
            hop = self._checked(_target(hop, answer, url), "the page redirects to an address that", url)
            if str(hop) in passed:  # no cookies are kept, so that it would go on like this
                raise FetchError("the page redirects in a circle", code="redirect_loop", url=url)
            passed.add(str(hop))
        message = f"the page redirects more than {self._limits.redirects} times"
        raise FetchError(message, code="too_many_redirects", url=url)

    def _checked(self, target: str, subject: str, url: str) -> httpx.URL:
        try:
            self._guard.check_url(target, subject)
            return httpx.URL(target).copy_with(fragment=None)
        except BlockedAddress as exc:
            raise FetchError(exc.message, code=exc.code, url=url) from exc
        except httpx.InvalidURL as exc:
            raise FetchError(f"{subject} cannot be read", code="invalid_url", url=url) from exc

    async def _ask_with_retry(self, hop: httpx.URL, url: str) -> _Answer:
        for retries_left in reversed(range(self._limits.retries + 1)):
            try:
                answer = await self._ask(hop, url)
            except FetchError as failure:
                if not retries_left or not failure.retryable or failure.code not in _RETRIED_CODES:
                    raise
                asked = 0.0
            else:
                asked = retry_after_s(answer.headers.get("retry-after")) or 0.0
                busy = answer.status == HTTPStatus.SERVICE_UNAVAILABLE
                if not busy or not retries_left or asked > self._limits.retry_after_s:
                    return answer
            await asyncio.sleep(max(asked, self._limits.retry_delay_s * random.uniform(0.5, 1.5)))  # noqa: S311  # no secret
        raise AssertionError("the last attempt returns or raises")

    async def _ask(self, hop: httpx.URL, url: str) -> _Answer:
        try:
            async with self._connections.get(hop, self._headers, self._timeouts) as response:
                return await self._read(response, url)
        except FetchError as exc:  # the resolver's names the host only
            raise FetchError(exc.message, code=exc.code, url=url, retryable=exc.retryable) from exc
        except BlockedAddress as exc:
            raise FetchError(exc.message, code=exc.code, url=url) from exc
        except TransportFailure as exc:
            raise transport_failure(exc, url) from exc

    async def _read(self, response: httpcore.Response, url: str) -> _Answer:
        headers = httpx.Headers(response.headers)
        media_type = MediaType.parse(headers.get("content-type", ""))
        if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            challenge = response.status in _MAYBE_CHALLENGES and await self._challenges(response, headers, url)
            return _Answer(response.status, headers, media_type, challenge=challenge)
        if not media_type.readable:
            raise _unsupported(media_type, url)
        cap, length = self._limits.body_bytes, headers.get("content-length", "")
        if length.isdigit() and int(length) > cap:
            raise too_large(cap, url)
        body = await read_body(response.aiter_stream(), headers.get("content-encoding", ""), cap=cap, url=url)
        return _Answer(response.status, headers, media_type.settled(body), body)

    async def _challenges(self, response: httpcore.Response, headers: httpx.Headers, url: str) -> bool:
        coding = headers.get("content-encoding", "")
        try:
            body = await read_body(response.aiter_stream(), coding, cap=_CHALLENGE_BYTES, url=url)
        except FetchError:  # too long for a challenge, or damaged
            body = b""
        charset = MediaType.parse(headers.get("content-type", "")).charset
        return is_challenge(headers, decode(body, charset, html=True))


def _downloaded(answer: _Answer, hop: httpx.URL, url: str) -> Download:
    if answer.challenge:
        message = (
            f"the server answered {status_phrase(answer.status)} with a challenge to prove that its reader is human"
        )
        raise FetchError(message, code="challenge", url=url)
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise status_failure(answer.status, answer.headers.get("retry-after"), url)
    if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
        raise FetchError(f"the server answered {status_phrase(answer.status)}", code="bad_response", url=url)
    if not answer.media_type.readable:
        raise _unsupported(answer.media_type, url)
    return Download(url, str(hop), answer.status, answer.media_type, answer.body)


def _target(hop: httpx.URL, answer: _Answer, url: str) -> str:
    location = answer.headers.get("location", "").strip()
    if not location:
        raise FetchError("the page redirects to nowhere", code="bad_response", url=url)
    try:
        return str(hop.join(location))
    except httpx.InvalidURL as exc:
        raise FetchError("the page redirects to what is no address", code="invalid_url", url=url) from exc


def _unsupported(media_type: MediaType, url: str) -> FetchError:
    message = f"the content type {media_type.name[:100]!r} cannot be read; HTML, plain text and Markdown can"
    return FetchError(message, code="unsupported_content_type", url=url)
