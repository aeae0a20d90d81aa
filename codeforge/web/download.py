"""Getting one page's bytes: a site's rules, its host's turn, redirects, retries, deadlines and cap."""

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

import httpcore
import httpx

from codeforge.errors import BlockedAddress, FetchError
from codeforge.retry_after import retry_after_s
from codeforge.web.body import ACCEPT_ENCODING, read_body, too_large
from codeforge.web.charset import decode
from codeforge.web.connections import GuardedConnections
from codeforge.web.document import Download
from codeforge.web.failures import TransportFailure, status_failure, status_phrase, transport_failure
from codeforge.web.guard import AddressGuard
from codeforge.web.hosts import HostVisits, Visit
from codeforge.web.judgement import is_challenge
from codeforge.web.media_type import MediaType
from codeforge.web.robots import Robots
from codeforge.web.slots import PageSlot
from codeforge.web.validators import Validators

ACCEPT = "text/html, application/xhtml+xml, text/markdown;q=0.9, text/plain;q=0.8, application/pdf;q=0.7, */*;q=0.1"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_MAYBE_CHALLENGES = frozenset({403, 429, 503})
_CHALLENGE_BYTES = 256 * 1024
_RETRIED_CODES = frozenset({"connect_failed", "dns_failed", "bad_response"})


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """Bounds of one page. Times in seconds; `body_bytes` counts before and after decompression.

    `total_s` bounds its requests together, with redirects and retries; waiting for the host's turn does not count. A
    retry waits for about `retry_delay_s`, or for as long as the server asks; a server that asks for more than
    `retry_after_s` is not asked again.
    """

    total_s: float = 30.0
    connect_s: float = 10.0
    body_bytes: int = 5 * 1024 * 1024
    redirects: int = 5
    retries: int = 1
    retry_delay_s: float = 0.5
    retry_after_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One hop's answer; only the body of a page, or of what may be a challenge, is read."""

    status: int
    headers: httpx.Headers
    media_type: MediaType
    body: bytes = b""
    challenge: bool = False

    @property
    def not_modified(self) -> bool:
        """Whether the page is as it was."""
        return self.status == HTTPStatus.NOT_MODIFIED


@dataclass(frozen=True, slots=True)
class Arrived:
    """What came of a download, and the headers that it came with; `download` None: the page is as it was."""

    download: Download | None
    url: str
    headers: Mapping[str, str]


@dataclass
class _Trip:
    """One download: the URL that errors name, when it is over, the time left for requests, and what was passed."""

    url: str
    deadline: float
    left_s: float
    slot: PageSlot | None
    validators: Validators
    any_type: bool
    passed: set[str] = field(default_factory=set)


class SiteRules(Protocol):
    """Port: what sites allow."""

    async def delay_s(self, hop: httpx.URL, trip_url: str, deadline: float) -> float:
        """Seconds between two requests to the address's host. Raises FetchError where the address may not be asked."""
        ...


class EverythingAllowed:
    """No rules: for robots.txt itself, and where the operator switched them off."""

    async def delay_s(self, hop: httpx.URL, trip_url: str, deadline: float) -> float:
        """See `SiteRules.delay_s`."""
        return 0.0


class RobotsRules:
    """The rules that sites give in their robots.txt."""

    def __init__(self, robots: Robots) -> None:
        self._robots = robots

    async def delay_s(self, hop: httpx.URL, trip_url: str, deadline: float) -> float:
        """See `SiteRules.delay_s`."""
        rules = await self._robots.rules(origin(hop), deadline)
        try:
            rules.check(str(hop))
        except FetchError as exc:
            raise FetchError(exc.message, code=exc.code, url=trip_url, retryable=exc.retryable) from exc
        return rules.delay_s


class Downloader:
    """Downloads pages over the guarded connections, which it does not own; with `visits` in the hosts' turns."""

    def __init__(
        self,
        guard: AddressGuard,
        connections: GuardedConnections,
        limits: DownloadLimits,
        *,
        user_agent: str,
        visits: HostVisits | None = None,
        rules: SiteRules | None = None,
    ) -> None:
        self._guard = guard
        self._connections = connections
        self._limits = limits
        self._visits = visits
        self._rules = rules or EverythingAllowed()
        self._headers = {"User-Agent": user_agent, "Accept": ACCEPT, "Accept-Encoding": ACCEPT_ENCODING}
        waits = dict.fromkeys(("read", "write", "pool"), limits.total_s)
        self._timeouts = {"connect": limits.connect_s, **waits}

    async def download(
        self,
        url: str,
        *,
        deadline: float = float("inf"),
        slot: PageSlot | None = None,
        validators: Validators | None = None,
        any_type: bool = False,
    ) -> Arrived:
        """A page, or with `any_type` whatever is there. `slot` is taken while a request is under way and kept for a
        page. Raises FetchError: every code of it but those of rendering."""
        trip = _Trip(url, deadline, self._limits.total_s, slot, validators or Validators(), any_type)
        return await self._follow(trip)

    async def _follow(self, trip: _Trip) -> Arrived:
        """Follows redirects by hand, so that every address passes the guard before it is asked."""
        hop = self._checked(trip.url, "url", trip.url)
        trip.passed.add(str(hop))
        for _ in range(self._limits.redirects + 1):
            answer = await self._ask_with_retry(hop, trip)
            if answer.not_modified and trip.validators.headers_for(str(hop)):
                return Arrived(None, str(hop), answer.headers)
            if answer.status not in _REDIRECTS:
                return Arrived(_downloaded(answer, hop, trip), str(hop), answer.headers)
            if trip.slot is not None:
                trip.slot.release()
            hop = self._checked(_target(hop, answer, trip.url), "the page's redirect", trip.url)
            if str(hop) in trip.passed:  # no cookies are kept, so that it would go on like this
                raise FetchError("the page redirects in a circle", code="redirect_loop", url=trip.url)
            trip.passed.add(str(hop))
        message = f"the page redirects more than {self._limits.redirects} times"
        raise FetchError(message, code="too_many_redirects", url=trip.url)

    def _checked(self, target: str, subject: str, url: str) -> httpx.URL:
        try:
            self._guard.check_url(target, subject)
            return httpx.URL(target).copy_with(fragment=None)
        except BlockedAddress as exc:
            raise FetchError(exc.message, code=exc.code, url=url) from exc
        except httpx.InvalidURL as exc:
            raise FetchError(f"{subject} cannot be read", code="invalid_url", url=url) from exc

    async def _ask_with_retry(self, hop: httpx.URL, trip: _Trip) -> Answer:
        delay_s = await self._rules.delay_s(hop, trip.url, trip.deadline)
        for retries_left in reversed(range(self._limits.retries + 1)):
            try:
                answer = await self._ask_in_turn(hop, trip, delay_s)
            except FetchError as failure:
                if not retries_left or not failure.retryable or failure.code not in _RETRIED_CODES:
                    raise
                asked = 0.0
            else:
                asked = retry_after_s(answer.headers.get("retry-after")) or 0.0
                over = asked > min(self._limits.retry_after_s, trip.deadline - time.monotonic())
                if answer.status not in _BUSY or answer.challenge or not retries_left or over:
                    return answer
            if trip.slot is not None:
                trip.slot.release()
            await asyncio.sleep(max(asked, self._limits.retry_delay_s * random.uniform(0.5, 1.5)))  # noqa: S311  # no secret
        raise AssertionError("the last attempt returns or raises")

    async def _ask_in_turn(self, hop: httpx.URL, trip: _Trip, delay_s: float) -> Answer:
        async with self._turn(hop, trip, delay_s) as visit:
            if trip.slot is not None:
                await self._take(trip.slot, visit)
            began = time.monotonic()
            try:
                async with asyncio.timeout(max(0.0, min(trip.left_s, trip.deadline - began))):
                    answer = await self._ask(hop, trip)
            except TimeoutError as exc:
                message = f"the page did not arrive within {self._limits.total_s:g} s"
                raise FetchError(message, code="timeout", url=trip.url, retryable=True) from exc
            finally:
                trip.left_s -= time.monotonic() - began
            if visit is not None:
                visit.answered(answer.status, retry_after_s(answer.headers.get("retry-after")))
            return answer

    def _turn(self, hop: httpx.URL, trip: _Trip, delay_s: float) -> AbstractAsyncContextManager[Visit | None]:
        if self._visits is None:
            return nullcontext()
        return self._visits.visit(host_of(hop), trip.url, delay_s=delay_s, deadline=trip.deadline)

    async def _take(self, slot: PageSlot, visit: Visit | None) -> None:
        """Waits for the process's own limit; the place at the host stays this page's meanwhile."""
        while not await slot.taken_within(self._limits.total_s / 2):
            if visit is not None and self._visits is not None:
                await self._visits.renew(visit)

    async def _ask(self, hop: httpx.URL, trip: _Trip) -> Answer:
        headers = {**self._headers, **trip.validators.headers_for(str(hop))}
        try:
            async with self._connections.get(hop, headers, self._timeouts) as response:
                return await self._read(response, trip)
        except FetchError as exc:  # the resolver's names the host only
            raise FetchError(exc.message, code=exc.code, url=trip.url, retryable=exc.retryable) from exc
        except BlockedAddress as exc:
            raise FetchError(exc.message, code=exc.code, url=trip.url) from exc
        except TransportFailure as exc:
            raise transport_failure(exc, trip.url) from exc

    async def _read(self, response: httpcore.Response, trip: _Trip) -> Answer:
        headers = httpx.Headers(response.headers)
        media_type = MediaType.parse(headers.get("content-type", ""))
        if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            challenge = response.status in _MAYBE_CHALLENGES and await self._challenges(response, headers, trip.url)
            return Answer(response.status, headers, media_type, challenge=challenge)
        if not media_type.readable and not trip.any_type:
            raise _unsupported(media_type, trip.url)
        cap, length = self._limits.body_bytes, headers.get("content-length", "")
        if length.isdigit() and int(length) > cap:
            raise too_large(cap, trip.url)
        body = await read_body(response.aiter_stream(), headers.get("content-encoding", ""), cap=cap, url=trip.url)
        return Answer(response.status, headers, media_type.settled(body), body)

    async def _challenges(self, response: httpcore.Response, headers: httpx.Headers, url: str) -> bool:
        coding = headers.get("content-encoding", "")
        try:
            body = await read_body(response.aiter_stream(), coding, cap=_CHALLENGE_BYTES, url=url)
        except FetchError:  # too long for a challenge, or damaged
            body = b""
        charset = MediaType.parse(headers.get("content-type", "")).charset
        # Markup that is made for it takes seconds, which no other task's page may wait for.
        return await asyncio.to_thread(is_challenge, headers, decode(body, charset, html=True))


def origin(url: httpx.URL) -> str:
    """Such as `https://example.org:8443`, whose robots.txt has the rules for the URL."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def host_of(url: httpx.URL) -> str:
    """Such as `example.org:443`: whose turn it is."""
    return f"{url.raw_host.decode('ascii').lower()}:{url.port or (443 if url.scheme == 'https' else 80)}"


def _downloaded(answer: Answer, hop: httpx.URL, trip: _Trip) -> Download:
    url = trip.url
    if answer.challenge:
        message = (
            f"the server answered {status_phrase(answer.status)} with a challenge to prove that its reader is human"
        )
        raise FetchError(message, code="challenge", url=url)
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise status_failure(answer.status, answer.headers.get("retry-after"), url)
    if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
        raise FetchError(f"the server answered {status_phrase(answer.status)}", code="bad_response", url=url)
    if not answer.media_type.readable and not trip.any_type:
        raise _unsupported(answer.media_type, url)
    return Download(url, str(hop), answer.status, answer.media_type, answer.body)


def _target(hop: httpx.URL, answer: Answer, url: str) -> str:
    location = answer.headers.get("location", "").strip()
    if not location:
        raise FetchError("the page redirects to nowhere", code="bad_response", url=url)
    try:
        return str(hop.join(location))
    except httpx.InvalidURL as exc:
        raise FetchError("the page redirects to what is no address", code="invalid_url", url=url) from exc


def _unsupported(media_type: MediaType, url: str) -> FetchError:
    message = f"the content type {media_type.name[:100]!r} cannot be read; HTML, PDF, plain text and Markdown can"
    return FetchError(message, code="unsupported_content_type", url=url)
