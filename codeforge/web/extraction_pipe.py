"""The pipe to a child that reads pages (extraction_process.py): pages go in and their answers come out, in one order.

While a child reads a page the next one is in its pipe already, so that it does not stand still until its parent's event
loop, where hundreds of agents have their turns, comes to give it one.
"""

import asyncio
import contextlib
import json
from asyncio.subprocess import Process
from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import Any, Final

from codeforge.errors import FetchError
from codeforge.web.document import Download
from codeforge.web.media_type import MediaType

IDLE_S: Final = 60.0
END_S: Final = 5.0
LENGTH: Final = Struct(">II")
"""Before each message: the bytes of its JSON, and of the page's body after it."""

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024


class Reading:
    """One page in one child, read for at most `within_s` seconds. `answer` is the child's, None when it ended before.
    `left` is called once, when the page is out of the child, whoever still waits for it."""

    def __init__(self, download: Download, *, judged: bool, within_s: float, left: Callable[[], None]) -> None:
        self.download = download
        self.judged = judged
        self.within_s = within_s
        self.answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._left = left

    def settle(self, answer: bytes | FetchError | None) -> None:
        """Says what came of it."""
        self._left()
        if self.answer.done():  # nobody waits any more
            return
        if isinstance(answer, FetchError):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class Child:
    """A process and the pages that it was given. It is `over` when a page took too long, when it was idle for `IDLE_S`,
    or when nothing comes from it any more."""

    def __init__(self, process: Process) -> None:
        self.over = False
        self._process = process
        self._readings: deque[Reading] = deque()
        self._given = asyncio.Event()
        self._serving = asyncio.create_task(self._serve())

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def gone(self) -> bool:
        """Whether the process has ended."""
        return self._process.returncode is not None

    @property
    def pages(self) -> int:
        """How many it has: the one that it reads, and those behind it."""
        return len(self._readings)

    def give(self, reading: Reading) -> None:
        """Gives it a page more."""
        assert self._process.stdin is not None
        self._readings.append(reading)
        self._given.set()
        with contextlib.suppress(RuntimeError):  # uvloop's, where the other end is gone, which reading will tell
            _write(self._process.stdin, reading)

    def forget(self, reading: Reading) -> None:
        """Nobody waits for this one any more. A child that is at it ends; else its answer will go nowhere."""
        if self._readings and self._readings[0] is reading:
            self._kill()

    async def close(self) -> None:
        """Ends it."""
        self._kill()
        self._given.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await self._process.wait()
                await self._serving

    async def _serve(self) -> None:
        try:
            while await self._has_page():
                reading = self._readings[0]
                answer = await self._answer(reading)
                self._readings.popleft()
                reading.settle(answer)
                if isinstance(answer, FetchError):
                    break
        except (asyncio.IncompleteReadError, OSError):  # it ended, or its answer has no end
            pass
        finally:
            self.over = True
            self._kill()
            while self._readings:
                self._readings.popleft().settle(None)

    async def _has_page(self) -> bool:
        self._given.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IDLE_S):
                if not self._readings:
                    await self._given.wait()
        return bool(self._readings)

    async def _answer(self, reading: Reading) -> bytes | FetchError:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(reading.within_s):
                size, _ = LENGTH.unpack(await self._process.stdout.readexactly(LENGTH.size))
                if size > MAX_ANSWER_BYTES:
                    raise OSError("an answer that is none")
                return await self._process.stdout.readexactly(size)
        except TimeoutError:
            return FetchError("extracting the page took too long", code="timeout", url=reading.download.url)

    def _kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()


def _write(stream: asyncio.StreamWriter, reading: Reading) -> None:
    download = reading.download
    header = json.dumps(
        {
            "url": download.url,
            "final_url": download.final_url,
            "status": download.status,
            "media_type": download.media_type.name,
            "charset": download.media_type.charset,
            "judged": reading.judged,
        }
    ).encode()
    stream.write(LENGTH.pack(len(header), len(download.body)) + header)
    stream.write(download.body)


def request_of(header: dict[str, Any], body: bytes) -> Download:
    """The download that `header` and `body` were made from."""
    media_type = MediaType(header["media_type"], header["charset"])
    return Download(header["url"], header["final_url"], header["status"], media_type, body)
