"""A loop that stands still is found, its blocker named, and the rest saved."""

import asyncio
import threading
import time

import pytest

from codeforge.execution import watchdog
from codeforge.execution.watchdog import EXIT_CODE, LoopWatchdog, begin_attempt

WAIT_S = 60.0


class Watched:
    """A watchdog whose end is noted instead of taken."""

    def __init__(self) -> None:
        self.blamed: list[str | None] = []
        self.ended = threading.Event()
        self.codes: list[int] = []

    async def rescue(self, blocker: str | None) -> None:
        self.blamed.append(blocker)

    def end(self, code: int) -> None:
        self.codes.append(code)
        self.ended.set()

    def over(self, loop: asyncio.AbstractEventLoop, limit_s: float = 0.1) -> LoopWatchdog:
        made = LoopWatchdog(loop, limit_s, self.rescue, end=self.end)
        made.start()
        return made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "POLL_S", 0.05)


@pytest.mark.parametrize("child", [True, False])
def test_blocker_is_named_from_its_attempt_or_a_child_of_it(child: bool) -> None:
    watched = Watched()

    async def endless() -> None:
        deadline = time.monotonic() + WAIT_S
        while not watched.ended.is_set() and time.monotonic() < deadline:
            pass

    async def attempt(name: str) -> None:
        begin_attempt(name)
        if name == "guilty":
            await (asyncio.gather(endless()) if child else endless())
        else:
            await asyncio.sleep(0)

    async def main() -> None:
        dog = watched.over(asyncio.get_running_loop())
        await asyncio.gather(attempt("innocent"), attempt("guilty"))
        dog.stop()

    asyncio.run(main())
    assert watched.blamed == ["guilty"]
    assert watched.codes == [EXIT_CODE]


def test_loop_that_turns_is_left_alone() -> None:
    watched = Watched()

    async def main() -> None:
        dog = watched.over(asyncio.get_running_loop(), 10 * watchdog.POLL_S)
        await asyncio.sleep(20 * watchdog.POLL_S)
        dog.stop()

    asyncio.run(main())
    assert watched.codes == []


def test_failed_rescue_still_ends_the_process() -> None:
    watched = Watched()

    async def main() -> None:
        async def fails(blocker: str | None) -> None:
            raise RuntimeError("no ledger")

        dog = LoopWatchdog(asyncio.get_running_loop(), 0.1, fails, end=watched.end)
        dog.start()
        watched.ended.wait(WAIT_S)  # blocks the loop

    asyncio.run(main())
    assert watched.codes == [EXIT_CODE]
