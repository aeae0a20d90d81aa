"""The scrape agent: pages by their addresses, or a crawl from one of them."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit

from codeforge.agent import AgentContext
from codeforge.errors import FetchError
from codeforge.inputs import CrawlOptions, ScrapeInput
from codeforge.results import FailedPage, Page, ScrapeResult
from codeforge.urls import canonical_url
from codeforge.worker_types import WorkerType
from workers.parallel import in_parallel

AT_ONCE = 8

Outcome = Page | FailedPage

_NO_PAGES = (
    *(".7z", ".avi", ".bmp", ".bz2", ".css", ".dmg", ".doc", ".docx", ".eot", ".epub", ".exe", ".gif", ".gz", ".ico"),
    *(".iso", ".jar", ".jpeg", ".jpg", ".js", ".json", ".m4a", ".mkv", ".mov", ".mp3", ".mp4", ".mpeg", ".ogg"),
    *(".otf", ".pdf", ".png", ".ppt", ".pptx", ".rar", ".svg", ".tar", ".tgz", ".ttf", ".wav", ".webm", ".webp"),
    *(".woff", ".woff2", ".xls", ".xlsx", ".xml", ".zip"),
)
"""Ends of paths that a crawl leaves alone: what is there cannot be read, and would use up `max_pages`."""


class ScrapeAgent:
    """Fetches pages, at most `AT_ONCE` at a time. One that cannot be had goes to `failed` and never fails the task."""

    type = WorkerType.SCRAPE

    async def run(self, ctx: AgentContext, task_input: ScrapeInput) -> ScrapeResult:
        """Pages and failures stand in the order of the input, or of the crawl. An address that is given twice, in
        whatever spelling, is fetched and listed once."""
        fetching = _Fetching(ctx, task_input.mode)
        if task_input.url is not None and task_input.crawl is not None:
            outcomes = await _Crawl(fetching, task_input.crawl).run(task_input.url)
        else:
            urls = [task_input.url] if task_input.url is not None else task_input.urls or []
            outcomes = await fetching.all_of(_distinct(urls))
        return ScrapeResult(
            pages=[_in_formats(outcome, task_input.formats) for outcome in outcomes if isinstance(outcome, Page)],
            failed=[outcome for outcome in outcomes if isinstance(outcome, FailedPage)],
        )


class _Fetching:
    """One task's fetches, and its word to those who watch."""

    def __init__(self, ctx: AgentContext, mode: Literal["auto", "standard", "rendered"]) -> None:
        self._ctx = ctx
        self._mode = mode
        self._done = 0
        self._total = 0

    async def all_of(self, urls: Sequence[str]) -> list[Outcome]:
        """One outcome a URL, in their order."""
        self._total += len(urls)
        return await in_parallel([partial(self._one, url) for url in urls], AT_ONCE)

    async def _one(self, url: str) -> Outcome:
        outcome = await self._outcome(url)
        self._done += 1
        if isinstance(outcome, Page):
            await self._ctx.emit("page", {"url": url, "status_code": outcome.status_code, "title": outcome.title})
        else:
            await self._ctx.emit("page_failed", outcome.model_dump())
        await self._ctx.progress(self._done, self._total, url)
        return outcome

    async def _outcome(self, url: str) -> Outcome:
        try:
            return await self._ctx.fetch(url, mode=self._mode)
        except FetchError as error:
            return FailedPage(url=url, code=error.code, message=error.message)


class _Crawl:
    """Breadth first, level by level. What is fetched, and in which order it is listed, follows from the pages alone, so
    that a later attempt asks for the same ones and finds them in its journal. Failures count for `max_pages` too."""

    def __init__(self, fetching: _Fetching, options: CrawlOptions) -> None:
        self._fetching = fetching
        self._options = options
        self._asked: set[str] = set()
        self._listed: set[str] = set()
        self._host: str | None = None
        self._outcomes: list[Outcome] = []

    async def run(self, start: str) -> list[Outcome]:
        """Outcomes in the order of the crawl, each page once, by whichever address it was found first."""
        level = await self._level([start])
        for _ in range(self._options.depth):
            level = await self._level(link for page in level for link in page.links if self._leads_on(link))
        return self._outcomes

    async def _level(self, urls: Iterable[str]) -> list[Page]:
        """The pages among `urls` that are new."""
        outcomes = await self._fetching.all_of(self._new(urls))
        return [page for outcome in outcomes if (page := self._kept(outcome)) is not None]

    def _new(self, urls: Iterable[str]) -> list[str]:
        """Those not asked for before, as many as `max_pages` leaves room for."""
        new: list[str] = []
        for url in urls:
            if len(self._asked) >= self._options.max_pages:
                break
            key = canonical_url(url)
            if key not in self._asked:
                self._asked.add(key)
                new.append(url)
        return new

    def _kept(self, outcome: Outcome) -> Page | None:
        """Lists the outcome, unless it is a page that redirected to one listed before or away from the site. The site
        is the one that the first page ended on."""
        if isinstance(outcome, FailedPage):
            self._outcomes.append(outcome)
            return None
        key, host = canonical_url(outcome.final_url), _host(outcome.final_url)
        self._host = self._host or host
        if key in self._listed or (self._options.same_site and host != self._host):
            return None
        self._listed.add(key)
        self._asked.add(key)
        self._outcomes.append(outcome)
        return outcome

    def _leads_on(self, link: str) -> bool:
        if urlsplit(link).path.lower().endswith(_NO_PAGES):
            return False
        return not self._options.same_site or _host(link) == self._host


def _distinct(urls: Sequence[str]) -> list[str]:
    """Each page's first address, in order."""
    first: dict[str, str] = {}
    for url in urls:
        first.setdefault(canonical_url(url), url)
    return list(first.values())


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").removesuffix(".")


def _in_formats(page: Page, formats: Sequence[str]) -> Page:
    left_out: dict[str, Any] = {}
    if "markdown" not in formats:
        left_out["markdown"] = ""
    if "links" not in formats:
        left_out["links"] = []
    return page.model_copy(update=left_out)
