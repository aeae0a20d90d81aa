"""A worker process's page fetcher: guarded downloads, extracted off the event loop, rendered where they must be."""

import asyncio
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal
from urllib.parse import urljoin, urlsplit

import httpx

from codeforge import __version__
from codeforge.agent import ANY_TERMS, FetchTerms
from codeforge.errors import BlockedAddress, FetchError
from codeforge.results import Page
from codeforge.web.connections import GuardedBackend, GuardedConnections
from codeforge.web.deadlines import left_s
from codeforge.web.document import Download
from codeforge.web.download import Downloader, DownloadLimits, EverythingAllowed, RobotsRules, SiteRules, origin
from codeforge.web.extractor import Extractor
from codeforge.web.guard import AddressGuard
from codeforge.web.hosts import HostVisits
from codeforge.web.judgement import Finding
from codeforge.web.rendering import Renderer
from codeforge.web.robots import Robots
from codeforge.web.shared_pages import Fetch, Fetched, KeptPage, NoSharing, Sharing
from codeforge.web.sitemaps import sitemap_urls
from codeforge.web.slots import PageSlot
from codeforge.web.validators import Validators, fresh_s, may_be_kept

USER_AGENT = f"CodeForge/{__version__}"
_UNBLOCKED = frozenset({"challenge", "consent_wall"})


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Bounds of a process. Times in seconds.

    At most `pages_at_once` pages, and so their bodies, are under way; further fetches wait for up to `wait_s`, and so
    do pages for one of the `extract_processes`. `extract_s` bounds a page's extraction. A task may have
    `renders_per_task` pages rendered.
    """

    page: DownloadLimits = field(default_factory=DownloadLimits)
    pages_at_once: int = 100
    wait_s: float = 300.0
    extract_processes: int = 2
    extract_s: float = 60.0
    renders_per_task: int = 50


class GuardedFetcher:
    """The PageFetcher. One for all tasks of a process: it is closed with the process, never after a page.

    `connections` replaces the guard's own, for tests. `user_agent` is what servers see. Without a `renderer` no page is
    rendered, without `visits` hosts are asked as often as pages are wanted, without `robots_age_s` (how many seconds
    a robots.txt holds) none is asked for, and without `sharing` each task fetches for itself.
    """

    def __init__(
        self,
        guard: AddressGuard,
        *,
        limits: FetchLimits | None = None,
        connections: GuardedConnections | None = None,
        user_agent: str = USER_AGENT,
        renderer: Renderer | None = None,
        visits: HostVisits | None = None,
        robots_age_s: float | None = None,
        sharing: Sharing | None = None,
    ) -> None:
        self._guard = guard
        self._limits = limits or FetchLimits()
        self._connections = connections or GuardedConnections(GuardedBackend(guard), limit=self._limits.pages_at_once)
        self._visits = visits
        downloads = partial(
            Downloader, guard, self._connections, self._limits.page, user_agent=user_agent, visits=visits
        )
        self._raw = downloads()
        self._robots = None if robots_age_s is None else Robots(self._bytes_of, user_agent, age_s=robots_age_s)
        self._rules: SiteRules = EverythingAllowed() if self._robots is None else RobotsRules(self._robots)
        self._downloader = downloads(rules=self._rules)
        self._renderer = renderer
        self._sharing = sharing or NoSharing()
        self._slots = asyncio.Semaphore(self._limits.pages_at_once)
        self._extractor = Extractor(self._limits.extract_processes)

    @property
    def renders_per_task(self) -> int:
        """See `PageFetcher.renders_per_task`."""
        return self._limits.renders_per_task

    async def fetch(
        self, url: str, *, mode: Literal["auto", "standard", "rendered"], terms: FetchTerms = ANY_TERMS
    ) -> Page:
        """Fetches and extracts. `standard` is plain HTTP; `auto` judges what that brought, and has it rendered where it
        is not what a reader would see; `rendered` renders at once. Raises FetchError, at the task's deadline at the
        latest."""
        self._check_text(url, url)
        how: Fetch = partial(self._judged, url, mode, terms)
        if mode == "rendered":
            if self._renderer is None:
                message = "no service that renders pages is configured (ZENROWS_API_KEY); use mode auto or standard"
                raise FetchError(message, code="render_not_configured", url=url)
            how = partial(self._asked_for, self._renderer, url, terms)
        try:
            async with asyncio.timeout(left_s(terms.deadline)):
                return await self._sharing.page(url, mode, terms, how)
        except TimeoutError as exc:
            message = "the page was not there when the task's time for fetching was over"
            raise FetchError(message, code="timeout", url=url, retryable=True) from exc

    async def sitemap(self, url: str, *, limit: int, terms: FetchTerms = ANY_TERMS) -> list[str]:
        """See `PageFetcher.sitemap`. The sitemaps are those that robots.txt names, or `/sitemap.xml`."""
        try:
            self._check_text(url, url)
            site = origin(httpx.URL(url))
        except (FetchError, httpx.InvalidURL):
            return []
        named = [] if self._robots is None else (await self._robots.rules(site, terms.deadline)).sitemaps
        starts = [urljoin(f"{site}/", address) for address in named] or [f"{site}/sitemap.xml"]
        return await sitemap_urls(starts, self._bytes_of, limit=limit, deadline=terms.deadline)

    async def _bytes_of(self, url: str, deadline: float) -> bytes:
        arrived = await self._raw.download(url, deadline=deadline, any_type=True)
        return b"" if arrived.download is None else arrived.download.body

    async def _asked_for(self, renderer: Renderer, url: str, terms: FetchTerms, older: KeptPage | None) -> Fetched:
        await self._rules.delay_s(httpx.URL(url), url, terms.deadline)
        return Fetched(await self._rendered(renderer, url, "rendering was asked for", terms, unblock=False))

    async def _judged(self, url: str, mode: str, terms: FetchTerms, older: KeptPage | None) -> Fetched:
        try:
            got, finding = await self._plain(url, terms, older, judged=mode == "auto")
        except FetchError as refused:
            if mode != "auto" or refused.code != "challenge":
                raise
            return await self._met(url, Finding("challenge", refused.message), None, terms)
        if finding is None:
            return got
        met = await self._met(url, finding, got.page, terms)
        # A shell that is as it was may show something else, and what was not rendered may be now: no validators.
        return replace(met, fresh_s=got.fresh_s, keep=got.keep and met.keep)

    async def _plain(
        self, url: str, terms: FetchTerms, older: KeptPage | None, *, judged: bool
    ) -> tuple[Fetched, Finding | None]:
        validators = None if older is None else older.validators
        async with PageSlot(self._slots, url, self._limits.wait_s) as slot:
            arrived = await self._downloader.download(url, deadline=terms.deadline, slot=slot, validators=validators)
            headers = arrived.headers
            if arrived.download is None and older is not None and older.page is not None:
                page, finding = older.page.model_copy(update={"url": url}), None
                validators = older.validators
            else:
                assert arrived.download is not None  # "not modified" answers validators only
                page, finding = await self._extract(arrived.download, judged=judged)
                validators = Validators.of(arrived.url, headers)
        return Fetched(page, validators, fresh_s(headers), may_be_kept(headers)), finding

    async def close(self) -> None:
        """Closes the connections and ends the processes that read pages."""
        await self._sharing.close()
        if self._visits is not None:
            await self._visits.close()
        await self._connections.close()
        if self._renderer is not None:
            await self._renderer.close()
        await self._extractor.close()

    async def _met(self, url: str, finding: Finding, plain: Page | None, terms: FetchTerms) -> Fetched:
        """Has the page rendered, if that may be. If not, what came plainly is the answer, unless it is a challenge,
        which is no page at all. A task that has no rendering left keeps that to itself."""
        try:
            if self._renderer is None:
                raise FetchError("no service that renders pages is configured", code="render_not_configured", url=url)
            unblock = finding.lack in _UNBLOCKED
            return Fetched(await self._rendered(self._renderer, url, finding.text, terms, unblock=unblock))
        except FetchError as failure:
            reason = f"{finding.text}; it was not rendered: {failure.message}"
            if plain is None or finding.lack == "challenge":
                raise FetchError(reason, code="challenge", url=url, retryable=failure.retryable) from failure
            page = plain.model_copy(update={"method_reason": reason})
            return Fetched(page, keep=failure.code != "render_limit")

    async def _rendered(self, renderer: Renderer, url: str, reason: str, terms: FetchTerms, *, unblock: bool) -> Page:
        await self._check(url)
        if terms.renders is not None and not terms.renders.take():
            message = f"the task's {self._limits.renders_per_task} rendered pages are used up"
            raise FetchError(message, code="render_limit", url=url)
        if terms.before_payment is not None:
            await terms.before_payment()
        rendered = await renderer.render(url, unblock=unblock, within_s=terms.deadline - time.monotonic())
        self._check_text(rendered.download.final_url, url)
        page, finding = await self._extract(rendered.download, judged=True)
        if finding is not None and finding.lack == "challenge":
            raise FetchError(f"{finding.text}, rendered too", code="challenge", url=url)
        facts = {"method": "zenrows", "js_rendered": True, "method_reason": reason, "cost": rendered.cost}
        return page.model_copy(update=facts)

    async def _check(self, url: str) -> None:
        """What is not fetched plainly passes the guard all the same: it must not tell others of private names."""
        self._check_text(url, url)
        parts = urlsplit(url)
        try:
            await self._guard.resolve(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        except BlockedAddress as exc:
            raise FetchError(exc.message, code=exc.code, url=url) from exc

    def _check_text(self, target: str, url: str) -> None:
        try:
            self._guard.check_url(target, "url")
        except BlockedAddress as exc:
            raise FetchError(exc.message, code=exc.code, url=url) from exc

    async def _extract(self, download: Download, *, judged: bool) -> tuple[Page, Finding | None]:
        limits = self._limits
        return await self._extractor.read(download, judged=judged, within_s=limits.extract_s, wait_s=limits.wait_s)
