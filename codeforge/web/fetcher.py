"""The page fetcher of a worker process: guarded downloads, extracted off the event loop."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from codeforge import __version__
from codeforge.errors import FetchError
from codeforge.results import Page
from codeforge.web.connections import GuardedBackend, GuardedConnections
from codeforge.web.document import Download, to_page
from codeforge.web.download import Downloader, DownloadLimits
from codeforge.web.guard import AddressGuard

USER_AGENT = f"CodeForge/{__version__}"


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Bounds of a process. Times in seconds.

    At most `pages_at_once` pages, and so their bodies, are under way; further fetches wait for up to `wait_s`.
    `extract_s` bounds a page's wait for one of the `extract_threads` and its extraction.
    """

    page: DownloadLimits = field(default_factory=DownloadLimits)
    pages_at_once: int = 100
    wait_s: float = 300.0
    extract_threads: int = 2
    extract_s: float = 60.0


class GuardedFetcher:
    """The PageFetcher. One for all tasks of a process: it is closed with the process, never after a page.

    `connections` replaces the guard's own, for tests. `user_agent` is what servers see.
    """

    def __init__(
        self,
        guard: AddressGuard,
        *,
        limits: FetchLimits | None = None,
        connections: GuardedConnections | None = None,
        user_agent: str = USER_AGENT,
    ) -> None:
        self._limits = limits or FetchLimits()
        self._connections = connections or GuardedConnections(GuardedBackend(guard), limit=self._limits.pages_at_once)
        self._downloader = Downloader(guard, self._connections, self._limits.page, user_agent=user_agent)
        self._slots = asyncio.Semaphore(self._limits.pages_at_once)
        self._threads = ThreadPoolExecutor(self._limits.extract_threads, thread_name_prefix="extract")

    async def fetch(self, url: str, *, mode: Literal["auto", "standard", "rendered"]) -> Page:
        """Fetches and extracts; `auto` and `standard` are plain HTTP. Raises FetchError."""
        if mode == "rendered":
            message = "no service that renders pages is configured; use mode auto or standard"
            raise FetchError(message, code="render_not_configured", url=url)
        async with self._slot(url):
            return await self._extract(await self._downloader.download(url))

    async def close(self) -> None:
        """Closes the connections and lets the threads end."""
        await self._connections.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def _slot(self, url: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._limits.wait_s):
                await self._slots.acquire()
        except TimeoutError as exc:
            raise FetchError("too many other pages are under way", code="timeout", url=url, retryable=True) from exc
        try:
            yield
        finally:
            self._slots.release()

    async def _extract(self, download: Download) -> Page:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._limits.extract_s):
                return await loop.run_in_executor(self._threads, to_page, download)
        except TimeoutError as exc:
            raise FetchError("extracting the page took too long", code="timeout", url=download.url) from exc
