"""Pages read in processes of their own, so that no page stalls the event loop, nor harms it.

Parsers hold the GIL for seconds over a large page, and a thread cannot be stopped. A child process can: it has a
deadline, a bound on memory, none of the service's secrets in its environment, and when a page is its death the page
fails and nothing else does. Children start with the first page, another one only while all are busy; one that was idle
for `IDLE_S` ends.
"""

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from struct import Struct
from typing import Any, Final

from codeforge.errors import FetchError
from codeforge.results import Page
from codeforge.web.document import Download
from codeforge.web.judgement import Finding

IDLE_S: Final = 60.0
END_S: Final = 5.0
LENGTH: Final = Struct(">II")
"""Before each message: the bytes of its JSON, and of the page's body after it."""

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
_COMMAND: Final = (sys.executable, "-m", "codeforge.web.extraction_process")


class Extractor:
    """At most `processes` children, each of at most `memory_mb` MiB of address space, one page in each at a time."""

    def __init__(self, processes: int = 2, memory_mb: int = 2_048) -> None:
        self._slots = asyncio.Semaphore(processes)
        self._memory_mb = memory_mb
        self._idle: list[Process] = []
        self._all: set[Process] = set()
        self._timers: dict[Process, asyncio.TimerHandle] = {}

    @property
    def pids(self) -> list[int]:
        """Of the children that live now."""
        return [child.pid for child in self._all if child.returncode is None]

    async def read(
        self, download: Download, *, judged: bool, within_s: float, wait_s: float = 300.0
    ) -> tuple[Page, Finding | None]:
        """See `document.read_page`. `wait_s` bounds the wait for a process, `within_s` the reading: only the latter is
        the page's own fault. Raises FetchError, also `timeout`, and `bad_response` for a page that ends its process."""
        try:
            async with asyncio.timeout(wait_s):
                await self._slots.acquire()
        except TimeoutError as exc:
            message = "too many other pages are being read"
            raise FetchError(message, code="timeout", url=download.url, retryable=True) from exc
        try:
            async with asyncio.timeout(within_s):
                answer = await self._asked(download, judged=judged)
        except TimeoutError as exc:
            raise FetchError("extracting the page took too long", code="timeout", url=download.url) from exc
        finally:
            self._slots.release()
        if answer is None:
            raise FetchError("the page cannot be parsed within bounds", code="bad_response", url=download.url)
        return _answered(answer, download.url)

    async def close(self) -> None:
        """Ends the children."""
        for timer in self._timers.values():
            timer.cancel()
        children, self._idle = list(self._all), []
        for child in children:
            _kill(child)
        for child in children:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await child.wait()
        self._all.clear()

    async def _asked(self, download: Download, *, judged: bool) -> bytes | None:
        """The child's answer; None when it died of the page. A child that was idle may have been ended by anyone: that
        is no fault of the page, which goes to a new one then."""
        while self._idle:
            child = self._taken()
            if (answer := await self._exchanged(child, download, judged=judged)) is not None:
                return answer
        return await self._exchanged(await self._started(), download, judged=judged)

    def _taken(self) -> Process:
        child = self._idle.pop()
        self._timers.pop(child).cancel()
        return child

    async def _exchanged(self, child: Process, download: Download, *, judged: bool) -> bytes | None:
        assert child.stdin is not None
        assert child.stdout is not None
        kept = False
        try:
            _write(child.stdin, download, judged=judged)
            await child.stdin.drain()
            size, _ = LENGTH.unpack(await child.stdout.readexactly(LENGTH.size))
            answer = await child.stdout.readexactly(size) if size <= MAX_ANSWER_BYTES else None
            kept = answer is not None
        except (asyncio.IncompleteReadError, OSError):
            return None
        finally:
            self._put_back(child) if kept else _kill(child)
        return answer

    async def _started(self) -> Process:
        child = await asyncio.create_subprocess_exec(
            *_COMMAND, str(self._memory_mb), stdin=PIPE, stdout=PIPE, start_new_session=True,
            env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )  # fmt: skip
        self._all = {other for other in self._all if other.returncode is None} | {child}
        return child

    def _put_back(self, child: Process) -> None:
        self._idle.append(child)
        self._timers[child] = asyncio.get_running_loop().call_later(IDLE_S, self._retire, child)

    def _retire(self, child: Process) -> None:
        self._idle.remove(child)
        self._timers.pop(child, None)
        _kill(child)


def request_of(header: dict[str, Any], body: bytes) -> Download:
    """The download that `header` and `body` were made from."""
    from codeforge.web.media_type import MediaType

    media_type = MediaType(header["media_type"], header["charset"])
    return Download(header["url"], header["final_url"], header["status"], media_type, body)


def _write(stream: asyncio.StreamWriter, download: Download, *, judged: bool) -> None:
    header = json.dumps(
        {
            "url": download.url,
            "final_url": download.final_url,
            "status": download.status,
            "media_type": download.media_type.name,
            "charset": download.media_type.charset,
            "judged": judged,
        }
    ).encode()
    stream.write(LENGTH.pack(len(header), len(download.body)) + header)
    stream.write(download.body)


def _answered(answer: bytes, url: str) -> tuple[Page, Finding | None]:
    head, _, page = answer.partition(b"\n")
    told = json.loads(head)
    if "code" in told:
        raise FetchError(told["message"], code=told["code"], url=url)
    finding = Finding(told["lack"], told["text"]) if "lack" in told else None
    return Page.model_validate_json(page), finding


def _kill(child: Process) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
    if child.stdin is not None:
        child.stdin.close()
