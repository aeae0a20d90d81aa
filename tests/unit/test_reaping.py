"""The reaper's turns: one leads, the others wait."""

import asyncio

import pytest
from structlog.testing import capture_logs

from codeforge.background import Background
from codeforge.errors import LedgerUnavailable
from codeforge.ledger.memory import MemoryLedger
from codeforge.ledger.port import ReapReport
from codeforge.reaping import FORGET_EVERY, LEADERSHIP_S, Reaper
from tests.factories import new_task
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.anyio


class Ledger(MemoryLedger):
    """Counts passes; a pass did what the test says. Its clock stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000
        super().__init__(clock_ms=lambda: self.now)
        self.passes = 0
        self.report = ReapReport()

    async def reap(self) -> ReapReport:
        await super().reap()
        self.passes += 1
        return self.report


class Pauses(Background):
    """Does not wait, but tells for how long it would have."""

    def __init__(self) -> None:
        super().__init__("test", None)
        self.asked: list[float] = []

    async def pause(self, seconds: float) -> None:
        self.asked.append(seconds)


def reaper(ledger: Ledger) -> tuple[Reaper, Pauses]:
    pauses = Pauses()
    return Reaper(ledger, pauses), pauses


async def test_one_of_two_works_and_the_other_takes_over_when_it_is_gone() -> None:
    ledger = Ledger()
    (first, _), (second, pauses) = reaper(ledger), reaper(ledger)
    await first.turn()
    await second.turn()
    assert ledger.passes == 1
    assert 0 < pauses.asked[0] < LEADERSHIP_S
    ledger.now += int(LEADERSHIP_S * 1000) + 1
    await second.turn()
    await first.turn()
    assert ledger.passes == 2


async def test_reaper_that_steps_down_is_followed_at_once() -> None:
    ledger = Ledger()
    (first, _), (second, _) = reaper(ledger), reaper(ledger)
    await first.turn()
    await first.step_down()
    await second.turn()
    assert ledger.passes == 2


async def test_stepping_down_without_a_ledger_is_left_to_time() -> None:
    ledger = Ledger()
    first, _ = reaper(ledger)
    await first.turn()
    ledger.down = True
    with capture_logs() as logs:
        await first.step_down()
    assert [entry["event"] for entry in logs] == ["leadership_not_given_up"]


async def test_outage_is_the_loop_s_business() -> None:
    ledger = Ledger()
    ledger.down = True
    with pytest.raises(LedgerUnavailable):
        await reaper(ledger)[0].turn()


async def test_idle_pass_is_followed_by_a_pause_and_not_logged() -> None:
    ledger = Ledger()
    first, pauses = reaper(ledger)
    with capture_logs() as logs:
        await first.turn()
    assert (len(pauses.asked), logs) == (1, [])


@pytest.mark.parametrize("report", [ReapReport(promoted=1), ReapReport(taken_back=1)])
async def test_pass_that_may_have_left_some_is_followed_at_once(report: ReapReport) -> None:
    ledger = Ledger()
    ledger.report = report
    first, pauses = reaper(ledger)
    with capture_logs() as logs:
        await first.turn()
    assert pauses.asked == []
    assert [entry["event"] for entry in logs] == ["reaped"]


async def test_expired_tasks_are_forgotten_now_and_then() -> None:
    ledger = Ledger()
    task = new_task()
    await ledger.submit([task])
    await ledger.cancel("acme", task.id)
    await ledger.settle(await ledger.read([0, 1, 2, 3], 10, 1_000), {})
    ledger.now += 1_000_000_000
    first, _ = reaper(ledger)
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(FORGET_EVERY):
            await first.turn()
    assert await ledger.forget() == 0
    assert ledger.rows == {}
