"""Pages read in processes of their own: what they may take, and what they may not harm."""

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import uvloop

from codeforge.errors import FetchError
from codeforge.web import extraction_pipe, extractor
from codeforge.web.document import Download
from codeforge.web.extractor import Extractor
from codeforge.web.media_type import MediaType
from tests.patience import PATIENCE_S
from tests.servers.articles import topic_page
from tests.servers.pdf import pdf

URL = "https://example.org/page"
HUGE = (
    "<html><body><main>"
    + "<div class='one of a great many'><p>Some <b>few</b> words of a page.</p></div>" * 45_000
    + "</main></body></html>"
)
READING_S = 2.0
"""Enough for a page of one letter."""

STALL_S = 0.1
"""Parsing this page in a thread keeps the loop from its turn for seconds."""


def html(text: str) -> Download:
    return Download(URL, URL, 200, MediaType("text/html", "utf-8"), text.encode())


@asynccontextmanager
async def extracting(processes: int = 2, memory_mb: int = 2_048) -> AsyncIterator[Extractor]:
    reader = Extractor(processes, memory_mb)
    try:
        yield reader
    finally:
        await reader.close()


def environment_of(pid: int) -> bytes:
    """As Linux tells it; nothing where it is not told."""
    path = Path(f"/proc/{pid}/environ")
    return path.read_bytes() if path.exists() else b""


def run(use: Callable[[Extractor], Awaitable[None]], processes: int = 2, memory_mb: int = 2_048) -> None:
    async def main() -> None:
        async with extracting(processes, memory_mb) as reader:
            await use(reader)

    asyncio.run(main())


async def no_child_of(reader: Extractor) -> None:
    """Waits until none lives."""
    async with asyncio.timeout(PATIENCE_S):
        while reader.pids:  # noqa: ASYNC110  # that is what users of it see; there is no event
            await asyncio.sleep(0.01)


async def longest_stall(work: Awaitable[object]) -> float:
    """For how many seconds of this process's own computing nothing else had a turn while `work` was done: what others
    on the machine compute does not count, nor does the garbage of earlier tests."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.process_time()
            await asyncio.sleep(0.001)
            longest = max(longest, time.process_time() - before)

    watching = asyncio.create_task(watch())
    gc.disable()
    try:
        await work
    finally:
        gc.enable()
        watching.cancel()
    return longest


def test_a_huge_page_does_not_stall_the_loop() -> None:
    async def use(reader: Extractor) -> None:
        await reader.read(html(topic_page("/bread")), judged=True, within_s=60)
        stall = await longest_stall(reader.read(html(HUGE), judged=True, within_s=60))
        assert stall < STALL_S

    assert len(HUGE) > 3_000_000
    run(use)


def test_processes_start_with_the_first_page_and_only_as_needed() -> None:
    async def use(reader: Extractor) -> None:
        assert reader.pids == []
        for _ in range(3):
            page, _ = await reader.read(html(topic_page("/bread")), judged=True, within_s=60)
            assert page.title == "Baking sourdough bread"
        assert len(reader.pids) == 1
        pages = [reader.read(html(topic_page("/bicycle")), judged=False, within_s=60) for _ in range(6)]
        assert {page.title for page, _ in await asyncio.gather(*pages)} == {"Mending a bicycle by the road"}
        assert len(reader.pids) == 2

    run(use)


def test_a_page_that_takes_too_long_is_given_up_and_the_next_one_is_read() -> None:
    async def use(reader: Extractor) -> None:
        await reader.read(html(topic_page("/bread")), judged=True, within_s=60)
        (slow,) = reader.pids
        os.kill(slow, signal.SIGSTOP)  # as a page would that is never done with
        with pytest.raises(FetchError) as caught:
            await reader.read(html(topic_page("/bread")), judged=True, within_s=0.5)
        assert caught.value.code == "timeout"
        page, _ = await reader.read(html(topic_page("/bread")), judged=True, within_s=60)
        assert page.title
        assert slow not in reader.pids

    run(use, processes=1)


def test_that_others_are_read_is_no_fault_of_a_page() -> None:
    async def use(reader: Extractor) -> None:
        async with standing_still(reader):
            first = asyncio.create_task(reader.read(html("a"), judged=False, within_s=PATIENCE_S, wait_s=0.01))
            second = asyncio.create_task(reader.read(html("b"), judged=False, within_s=READING_S, wait_s=0.01))
            await asyncio.sleep(0)
            with pytest.raises(FetchError, match="too many other pages") as caught:
                await reader.read(html("c"), judged=False, within_s=PATIENCE_S, wait_s=1.1 * READING_S)
            assert (caught.value.code, caught.value.retryable) == ("timeout", True)
        assert [page.markdown for page, _ in await asyncio.gather(first, second)] == ["a", "b"]

    run(use, processes=1)


def test_what_waits_behind_a_page_is_read_whatever_becomes_of_it() -> None:
    async def use(reader: Extractor) -> None:
        async with standing_still(reader) as pid:
            first, second, third = (asyncio.create_task(read(reader, text)) for text in "abc")
            await asyncio.sleep(0)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            os.kill(pid, signal.SIGCONT)
            assert [await first, await third] == ["a", "c"]
        async with standing_still(reader) as pid:
            first, second, third = (asyncio.create_task(read(reader, text)) for text in "abc")
            await asyncio.sleep(0)
            first.cancel()
            assert [await second, await third] == ["b", "c"]
            assert pid not in reader.pids

    run(use, processes=1)


async def read(reader: Extractor, text: str) -> str:
    page, _ = await reader.read(html(text), judged=False, within_s=PATIENCE_S)
    return page.markdown


@asynccontextmanager
async def standing_still(reader: Extractor) -> AsyncIterator[int]:
    """The reader's one process, which reads nothing meanwhile."""
    await read(reader, "some text")
    (pid,) = reader.pids
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("run_loop", [asyncio.run, uvloop.run])
def test_a_process_that_was_killed_costs_no_page(run_loop: Callable[[Coroutine[None, None, None]], None]) -> None:
    async def main() -> None:
        async with extracting(processes=1) as reader:
            async with standing_still(reader) as pid:
                pages = [asyncio.create_task(read(reader, text)) for text in "abc"]
                await asyncio.sleep(0)
                os.kill(pid, signal.SIGKILL)
                assert await asyncio.gather(*pages) == ["a", "b", "c"]
            os.kill(reader.pids[0], signal.SIGKILL)  # while idle
            await gone(pid := reader.pids[0])
            assert await read(reader, "d") == "d"
            assert pid not in reader.pids

    run_loop(main())


async def gone(pid: int) -> None:
    """Waits until there is no such process."""
    with suppress(ProcessLookupError):
        async with asyncio.timeout(PATIENCE_S):
            while True:
                os.kill(pid, 0)
                await asyncio.sleep(0.01)


def test_a_page_that_is_the_death_of_its_process_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(reader: Extractor) -> None:
        with pytest.raises(FetchError) as caught:
            await reader.read(html(topic_page("/bread")), judged=True, within_s=60)
        assert caught.value.code == "bad_response"
        await no_child_of(reader)

    monkeypatch.setattr(extractor, "_COMMAND", (sys.executable, "-c", "import sys; sys.stdin.buffer.read(8)"))
    run(use)


def test_a_page_is_not_given_to_dying_processes_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(reader: Extractor) -> None:
        pages = [reader.read(html("a"), judged=False, within_s=PATIENCE_S) for _ in range(32)]
        ends = await asyncio.gather(*pages, return_exceptions=True)
        # Each death is one page's own, and moves the one behind it: after three turns there are a few left.
        assert {(end.code, end.retryable) for end in ends if isinstance(end, FetchError)} == {
            ("bad_response", False),
            ("timeout", True),
        }

    monkeypatch.setattr(extractor, "_COMMAND", (sys.executable, "-c", "import sys; sys.stdin.buffer.read(8)"))
    run(use, processes=1)


def test_memory_is_bounded() -> None:
    async def use(reader: Extractor) -> None:
        with pytest.raises(FetchError) as caught:
            await reader.read(html(HUGE), judged=True, within_s=60)
        assert caught.value.code in ("bad_response", "too_large")
        page, _ = await reader.read(html(topic_page("/bread")), judged=True, within_s=60)
        assert page.title

    run(use, memory_mb=90)


def test_an_idle_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(reader: Extractor) -> None:
        await reader.read(html(topic_page("/bread")), judged=True, within_s=60)
        await no_child_of(reader)

    monkeypatch.setattr(extraction_pipe, "IDLE_S", 0.01)
    run(use)


def test_a_process_knows_none_of_its_parents_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(reader: Extractor) -> None:
        await reader.read(html(topic_page("/bread")), judged=True, within_s=60)
        (pid,) = reader.pids
        environments.append(await asyncio.to_thread(environment_of, pid))

    monkeypatch.setenv("CODEFORGE_LLM_API_KEY", "hush")
    environments: list[bytes] = []
    run(use)
    assert [b"hush" in environment for environment in environments] == [False]


def test_a_pdf_becomes_paragraphs() -> None:
    lines = [
        "Tides rise and fall twice a day because the moon pulls at the sea and the",
        "earth turns beneath two bulges of water.",
        "Spring tides come with a new or a full moon, when the sun pulls along",
        "the same line.",
    ]
    body = pdf([lines, ["A second page."]], title="On tides", author="A. Mariner")

    async def use(reader: Extractor) -> None:
        page, finding = await reader.read(
            Download(URL, URL, 200, MediaType("application/pdf"), body), judged=True, within_s=60
        )
        assert (page.title, page.author, page.date) == ("On tides", "A. Mariner", "2025-03-14")
        assert page.markdown == f"{lines[0]} {lines[1]}\n\n{lines[2]} {lines[3]}\n\nA second page."
        assert not page.truncated
        assert finding is None
        with pytest.raises(FetchError) as caught:
            await reader.read(
                Download(URL, URL, 200, MediaType("application/pdf"), body[:200]), judged=True, within_s=60
            )
        assert caught.value.code == "bad_response"

    run(use)


def test_a_long_pdf_is_cut_and_says_so() -> None:
    async def use(reader: Extractor) -> None:
        body = pdf([[f"Page {number}."] for number in range(320)])
        page, _ = await reader.read(
            Download(URL, URL, 200, MediaType("application/pdf"), body), judged=False, within_s=60
        )
        assert page.truncated
        assert page.markdown.endswith("Page 299.")

    run(use)
