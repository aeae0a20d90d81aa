"""What a site's robots.txt allows (RFC 9309), read by protego, which knows Crawl-delay and Sitemap lines too."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, Protocol

from protego import Protego

from codeforge.errors import FetchError
from codeforge.web.charset import decode
from codeforge.web.deadlines import left_s

MAX_CHARS: Final = 512 * 1024
"""More of a robots.txt is not read (RFC 9309, 2.5)."""

MAX_SITES: Final = 2_000
AGAIN_S: Final = 30.0
"""A robots.txt that could not be had is asked for again after so many seconds."""

MAX_SITEMAPS: Final = 20
_NOT_THERE = frozenset({"http_401", "http_403", "http_status", "redirect_loop", "too_many_redirects", "too_large"})


class RawDownload(Protocol):
    """Gets a resource's bytes, whatever their type."""

    async def __call__(self, url: str, deadline: float) -> bytes:
        """Raises FetchError."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What a site asks of this service: which pages, how many seconds between two requests, and where its sitemaps are.
    `trouble` is why its robots.txt could not be had, which forbids everything."""

    parsed: Protego | None
    agent: str
    trouble: FetchError | None = None

    def check(self, url: str) -> None:
        """Raises FetchError `robots_disallowed` or what kept robots.txt from being read."""
        if self.trouble is not None:
            raise FetchError(self.trouble.message, code=self.trouble.code, url=url, retryable=self.trouble.retryable)
        if self.parsed is not None and not self.parsed.can_fetch(url, self.agent):
            raise FetchError("the site's robots.txt does not allow it", code="robots_disallowed", url=url)

    @property
    def delay_s(self) -> float:
        """Seconds between two requests; 0 where the site asks for none."""
        delay = None if self.parsed is None else self.parsed.crawl_delay(self.agent)
        return max(0.0, delay or 0.0)

    @property
    def sitemaps(self) -> list[str]:
        """Their addresses, unchecked."""
        return [] if self.parsed is None else list(self.parsed.sitemaps)[:MAX_SITEMAPS]


@dataclass
class _Known:
    rules: Rules
    until: float


@dataclass
class _Site:
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    known: _Known | None = None


class Robots:
    """The rules of the sites that this process visits, each asked for once in `age_s` seconds."""

    def __init__(self, download: RawDownload, user_agent: str, *, age_s: float = 3_600.0) -> None:
        self._download = download
        self._agent = user_agent.partition("/")[0].partition(" ")[0]
        self._age_s = age_s
        self._sites: OrderedDict[str, _Site] = OrderedDict()

    async def rules(self, origin: str, deadline: float) -> Rules:
        """Of an origin such as `https://example.org:8443`, within the deadline, though another task with more time may
        be asking for them. Never raises but for a cancellation."""
        try:
            async with asyncio.timeout(left_s(deadline)):
                return await self._known(origin, deadline)
        except TimeoutError:
            late = FetchError("robots.txt did not arrive in time", code="timeout", url=origin, retryable=True)
            return Rules(None, self._agent, late)

    async def _known(self, origin: str, deadline: float) -> Rules:
        site = self._sites.setdefault(origin, _Site())
        self._sites.move_to_end(origin)
        while len(self._sites) > MAX_SITES:
            self._sites.popitem(last=False)
        async with site.asking:
            if site.known is None or site.known.until <= time.monotonic():
                rules = await self._asked(origin, deadline)
                age_s = self._age_s
                if rules.trouble is not None:  # that this task may wait no longer says nothing of the site
                    waited_out = rules.trouble.code == "host_busy" or left_s(deadline) == 0.0
                    age_s = 0.0 if waited_out else AGAIN_S
                site.known = _Known(rules, time.monotonic() + age_s)
            return site.known.rules

    async def _asked(self, origin: str, deadline: float) -> Rules:
        try:
            body = await self._download(f"{origin}/robots.txt", deadline)
        except FetchError as failure:
            if failure.code in _NOT_THERE and not failure.retryable:
                return Rules(None, self._agent)  # "unavailable": RFC 9309, 2.3.1.3
            if failure.code in ("bad_response", "challenge"):
                return Rules(None, self._agent)
            return Rules(None, self._agent, _unreachable(failure))
        text = decode(body, "utf-8", html=False)[:MAX_CHARS]
        try:
            return Rules(Protego.parse(text), self._agent)
        except (ValueError, TypeError, LookupError, RecursionError):  # protego's, on what is no robots.txt at all
            return Rules(None, self._agent)


def _unreachable(failure: FetchError) -> FetchError:
    """A site that cannot be asked forbids everything (RFC 9309, 2.3.1.4); the code tells what is the matter with it."""
    message = f"robots.txt: {failure.message}"
    return FetchError(message, code=failure.code, url=failure.url, retryable=failure.retryable)
