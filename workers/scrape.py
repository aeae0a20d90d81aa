"""The scrape agent: pages by their addresses, or a crawl from one of them."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit

from codeforge.agent import AgentContext
from codeforge.errors import FetchError, OutOfTime, TaskTimeout
from codeforge.inputs import ScrapeInput
from codeforge.results import FailedPage, Notice, Page, ScrapeResult
from codeforge.urls import canonical_url
from codeforge.worker_types import WorkerType
from workers.crawl import Crawl, Outcome
from workers.parallel import in_parallel

AT_ONCE = 256
"""Of one task, most of them waiting for their hosts' turns."""

AT_ONE_HOST = 16
"""Of one task. What a host sees at once is limited for all tasks together; this is so that no task stands there for
ever with all of its pages while others have one."""

MAX_RESULT_BYTES = 24 * 1024 * 1024
"""Of pages as JSON. What runs a task takes 32 MiB; the rest is room for what failed."""

RESULT_FULL = "result_full"
NOTHING_FETCHED = Notice(code="nothing_fetched", message="no page could be had; `failed` says why of each")


class ScrapeAgent:
    """Fetches pages, at most `AT_ONCE` at a time, and `AT_ONE_HOST` of one host. One that cannot be had goes to
    `failed` and never fails the task by itself; so do those for which the result has no room."""

    type = WorkerType.SCRAPE

    async def run(self, ctx: AgentContext, task_input: ScrapeInput) -> ScrapeResult:
        """Pages and failures stand in the order of the input, or of the crawl. Of given URLs each is listed once; those
        that are one address in several spellings share a fetch. Raises TaskTimeout when the task's time was over before
        there was a single page."""
        fetching = Fetching(ctx, task_input.mode, task_input.formats)
        warnings: list[Notice] = []
        if task_input.url is not None and task_input.crawl is not None:
            crawl = Crawl(fetching.all_of, ctx.sitemap, task_input.crawl)
            outcomes = await crawl.run(task_input.url)
            warnings += crawl.warnings
        else:
            urls = [task_input.url] if task_input.url is not None else task_input.urls or []
            outcomes = await fetching.each_of(urls)
        pages = [_in_formats(outcome, task_input.formats) for outcome in outcomes if isinstance(outcome, Page)]
        if not pages and fetching.out_of_time:
            raise TaskTimeout(f"no page was there when the task's time was over (timeout_s is {ctx.task.timeout_s})")
        if not pages:
            warnings.append(NOTHING_FETCHED)
        return ScrapeResult(
            pages=pages,
            failed=[outcome for outcome in outcomes if isinstance(outcome, FailedPage)],
            warnings=warnings + fetching.warnings,
        )


class Fetching:
    """One task's fetches, and its word to those who watch. `out_of_time` tells whether one was still under way when the
    task's time was over."""

    def __init__(
        self, ctx: AgentContext, mode: Literal["auto", "standard", "rendered"], formats: Sequence[str]
    ) -> None:
        self._ctx = ctx
        self._mode = mode
        self._formats = formats
        self._done = 0
        self._total = 0
        self._bytes = 0
        self._full = False
        self.out_of_time = False
        self._hosts: defaultdict[str, asyncio.Semaphore] = defaultdict(partial(asyncio.Semaphore, AT_ONE_HOST))

    @property
    def warnings(self) -> list[Notice]:
        """That the result is full, if it is."""
        text = (
            f"the result has {MAX_RESULT_BYTES >> 20} MiB of pages, which is all that one task may have; it ended early"
        )
        return [Notice(code=RESULT_FULL, message=text)] if self._full else []

    async def each_of(self, urls: Sequence[str]) -> list[Outcome]:
        """One outcome a URL, in their order, though an address is fetched once, in its first spelling."""
        firsts: dict[str, str] = {}
        for url in urls:
            firsts.setdefault(canonical_url(url), url)
        outcomes = dict(zip(firsts, await self.all_of(list(firsts.values())), strict=True))
        given = [(url, canonical_url(url)) for url in dict.fromkeys(urls)]
        return [outcomes[key] if firsts[key] == url else self._shared(url, outcomes[key]) for url, key in given]

    async def all_of(self, urls: Sequence[str]) -> list[Outcome]:
        """One outcome a URL, in their order."""
        self._total += len(urls)
        return await in_parallel([partial(self._one, url) for url in urls], AT_ONCE)

    async def _one(self, url: str) -> Outcome:
        outcome = self._within_room(await self._outcome(url))
        self._done = done = self._done + 1
        if isinstance(outcome, Page):
            await self._ctx.emit("page", {"url": url, "status_code": outcome.status_code, "title": outcome.title})
        else:
            await self._ctx.emit("page_failed", outcome.model_dump())
        await self._ctx.progress(done, self._total, url)
        return outcome

    async def _outcome(self, url: str) -> Outcome:
        async with self._hosts[urlsplit(url).netloc.lower()]:
            if self._full:
                return _no_room(url)
            try:
                return await self._ctx.fetch(url, mode=self._mode, keep=self._part_shown)
            except FetchError as error:
                self.out_of_time = self.out_of_time or isinstance(error, OutOfTime)
                return FailedPage(url=url, code=error.code, message=error.message)

    def _shared(self, url: str, outcome: Outcome) -> Outcome:
        """What came of another spelling of the address, at no further cost."""
        if isinstance(outcome, FailedPage):
            return outcome.model_copy(update={"url": url})
        return self._within_room(outcome.model_copy(update={"url": url, "cost": 0.0}))

    def _within_room(self, outcome: Outcome) -> Outcome:
        if isinstance(outcome, FailedPage):
            return outcome
        size = len(_in_formats(outcome, self._formats).model_dump_json().encode())
        if self._full or self._bytes + size > MAX_RESULT_BYTES:
            self._full = True
            return _no_room(outcome.url)
        self._bytes += size
        return outcome

    def _part_shown(self, page: Page) -> Page:
        """Without what the result will not show. Links lead on in any case."""
        return page if "markdown" in self._formats else page.model_copy(update={"markdown": ""})


def _no_room(url: str) -> FailedPage:
    return FailedPage(url=url, code=RESULT_FULL, message="the task's result had no room for the page")


def _in_formats(page: Page, formats: Sequence[str]) -> Page:
    left_out: dict[str, Any] = {}
    if "markdown" not in formats:
        left_out["markdown"] = ""
    if "links" not in formats:
        left_out["links"] = []
    return page.model_copy(update=left_out)
