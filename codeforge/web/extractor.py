"""Pages read in processes of their own, so that no page stalls the event loop, nor harms it.

Parsers hold the GIL for seconds over a large page, and a thread cannot be stopped. A child process can: it has a
deadline, a bound on memory, none of the service's secrets in its environment, and when a page is its death the page
fails and nothing else does. Children start with the first page, another one only while all are busy; one that was idle
for a minute ends.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from typing import Final

from codeforge.errors import FetchError
from codeforge.results import Page
from codeforge.web.document import Download
from codeforge.web.extraction_pipe import Child, Reading
from codeforge.web.judgement import Finding

PAGES_EACH: Final = 2
"""What a child has: the page that it reads, and the next one."""

TRIES: Final = 3
"""To so many processes a page is given that end before it is their turn."""

_COMMAND: Final = (sys.executable, "-m", "codeforge.web.extraction_process")


class Extractor:
    """At most `processes` children, each of at most `memory_mb` MiB of address space. Each reads one page at a time."""

    def __init__(self, processes: int = 2, memory_mb: int = 2_048) -> None:
        self._processes = processes
        self._memory_mb = memory_mb
        self._places = asyncio.Semaphore(processes * PAGES_EACH)
        self._starting = asyncio.Lock()
        self._children: list[Child] = []

    @property
    def pids(self) -> list[int]:
        """Of the children that live now."""
        return [child.pid for child in self._living]

    async def read(
        self, download: Download, *, judged: bool, within_s: float, wait_s: float = 300.0
    ) -> tuple[Page, Finding | None]:
        """See `document.read_page`. `wait_s` bounds the wait for a place in a process, `within_s` the reading: only the
        latter is the page's own fault. Raises FetchError, also `timeout`, and `bad_response` for a page that ends its
        process. Deaths that are not its own are a `timeout` too when there are too many."""
        for _ in range(TRIES):
            try:
                async with asyncio.timeout(wait_s):
                    await self._places.acquire()
            except TimeoutError as exc:
                message = "too many other pages are being read"
                raise FetchError(message, code="timeout", url=download.url, retryable=True) from exc
            answer, alone = await self._asked(download, judged=judged, within_s=within_s)
            if answer is not None:
                return _answered(answer, download.url)
            if alone:
                raise FetchError("the page cannot be parsed within bounds", code="bad_response", url=download.url)
        message = f"{TRIES} processes ended over other pages before this one was read"
        raise FetchError(message, code="timeout", url=download.url, retryable=True)

    @property
    def _living(self) -> list[Child]:
        return [child for child in self._children if not child.over]

    async def close(self) -> None:
        """Ends the children."""
        await asyncio.gather(*[child.close() for child in self._children])

    async def _asked(self, download: Download, *, judged: bool, within_s: float) -> tuple[bytes | None, bool]:
        """A child's answer, None when it ended before, and whether it began with this page: then it died of it. Another
        one may have been ended by the page before, or by anyone, which is no fault of this page: it goes to the next.
        Takes over a place, which is free when the page is out of the child."""
        try:
            child, new = await self._child()
        except BaseException:
            self._places.release()
            raise
        reading = Reading(download, judged=judged, within_s=within_s, left=self._places.release)
        child.give(reading)
        try:
            return await reading.answer, new
        except asyncio.CancelledError:
            child.forget(reading)
            raise

    async def _child(self) -> tuple[Child, bool]:
        """One with room for a page, which there is for everyone with a place; and whether it is new."""
        if (child := self._with_room()) is not None:
            return child, False
        async with self._starting:
            if (child := self._with_room()) is not None:
                return child, False
            child = await self._started()
            self._children = [other for other in self._children if not other.gone] + [child]
            return child, True

    def _with_room(self) -> Child | None:
        """The one with the fewest pages; None where another one may start in place of waiting behind a page."""
        living = self._living
        child = min(living, key=lambda child: child.pages, default=None)
        busy = child is None or child.pages > 0
        return None if busy and len(living) < self._processes else child

    async def _started(self) -> Child:
        process = await asyncio.create_subprocess_exec(
            *_COMMAND, str(self._memory_mb), stdin=PIPE, stdout=PIPE, start_new_session=True,
            env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )  # fmt: skip
        return Child(process)


def _answered(answer: bytes, url: str) -> tuple[Page, Finding | None]:
    head, _, page = answer.partition(b"\n")
    told = json.loads(head)
    if "code" in told:
        raise FetchError(told["message"], code=told["code"], url=url)
    finding = Finding(told["lack"], told["text"]) if "lack" in told else None
    return Page.model_validate_json(page), finding
