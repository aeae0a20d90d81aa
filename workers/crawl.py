"""A crawl's frontier: which pages of a site come next."""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain
from typing import Protocol
from urllib.parse import urlsplit

from codeforge.inputs import CrawlOptions
from codeforge.results import FailedPage, Notice, Page
from codeforge.urls import canonical_url

Outcome = Page | FailedPage

_EMPTY = hashlib.sha256(b"").hexdigest()
_NO_PAGES = (
    *(".7z", ".avi", ".bmp", ".bz2", ".css", ".dmg", ".doc", ".docx", ".eot", ".epub", ".exe", ".gif", ".gz", ".ico"),
    *(".iso", ".jar", ".jpeg", ".jpg", ".js", ".json", ".m4a", ".mkv", ".mov", ".mp3", ".mp4", ".mpeg", ".ogg"),
    *(".otf", ".png", ".ppt", ".pptx", ".rar", ".svg", ".tar", ".tgz", ".ttf", ".wav", ".webm", ".webp"),
    *(".woff", ".woff2", ".xls", ".xlsx", ".xml", ".zip"),
)
"""Ends of paths that a crawl leaves alone: what is there cannot be read, and would use up `max_pages`."""


class SitemapReader(Protocol):
    """What names a site's pages."""

    async def __call__(self, url: str, *, limit: int) -> list[str]:
        """See `AgentContext.sitemap`."""
        ...


class Crawl:
    """Breadth first, level by level. What is fetched, and in which order it is listed, follows from the pages alone, so
    that a later attempt asks for the same ones and finds them in its journal: that is what makes the frontier survive.
    Failures and duplicates count for `max_pages` too. A page with the text of another is left out."""

    def __init__(
        self,
        fetch_all: Callable[[Sequence[str]], Awaitable[list[Outcome]]],
        sitemap: SitemapReader,
        options: CrawlOptions,
    ) -> None:
        self._fetch_all = fetch_all
        self._sitemap = sitemap
        self._options = options
        self._asked: set[str] = set()
        self._listed: set[str] = set()
        self._texts: set[str] = set()
        self._duplicates = 0
        self._host: str | None = None
        self._outcomes: list[Outcome] = []

    @property
    def warnings(self) -> list[Notice]:
        """That pages were left out for their text, if some were."""
        text = f"{self._duplicates} pages were left out, because their text is that of another page"
        return [Notice(code="duplicate_pages", message=text)] if self._duplicates else []

    async def run(self, start: str) -> list[Outcome]:
        """Outcomes in the order of the crawl, each page once, by whichever address it was found first."""
        level = await self._level([start])
        named = await self._named(level)
        for _ in range(self._options.depth):
            links = (link for page in level for link in page.links)
            level = await self._level(link for link in chain(links, named) if self._leads_on(link))
            named = []
        return self._outcomes

    async def _named(self, level: Sequence[Page]) -> list[str]:
        """What the sitemap of the site names, as far as it may matter."""
        if not level or not self._options.sitemap or not self._options.depth or self._options.max_pages == 1:
            return []
        return await self._sitemap(level[0].final_url, limit=2 * self._options.max_pages)

    async def _level(self, urls: Iterable[str]) -> list[Page]:
        """The pages among `urls` that are new."""
        outcomes = await self._fetch_all(self._new(urls))
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
        """Lists the outcome, unless it is a page that redirected to one listed before or away from the site, or has the
        text of another. The site is the one that the first page ended on."""
        if isinstance(outcome, FailedPage):
            self._outcomes.append(outcome)
            return None
        key, host = canonical_url(outcome.final_url), _host(outcome.final_url)
        self._host = self._host or host
        if key in self._listed or (self._options.same_site and host != self._host):
            return None
        self._listed.add(key)
        self._asked.add(key)
        if outcome.content_hash in self._texts:
            self._duplicates += 1
            return None
        if outcome.content_hash != _EMPTY:  # pages without text are alike in nothing
            self._texts.add(outcome.content_hash)
        self._outcomes.append(outcome)
        return outcome

    def _leads_on(self, link: str) -> bool:
        if urlsplit(link).path.lower().endswith(_NO_PAGES):
            return False
        return not self._options.same_site or _host(link) == self._host


def _host(url: str) -> str:
    """Host and port: what serves another port of a machine is another site; http and https are one."""
    parts = urlsplit(canonical_url(url))
    try:
        port = parts.port or ""
    except ValueError:
        return ""
    return f"{(parts.hostname or '').removesuffix('.')}:{port}"
