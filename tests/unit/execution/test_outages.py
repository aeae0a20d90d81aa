"""An attempt whose ledger is away for a while: what was paid for is not lost."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from codeforge.agent import AgentContext, Message, ModelRequest, SearchReply
from codeforge.errors import LedgerUnavailable
from codeforge.execution.control import StopReason
from codeforge.ledger.memory import MemoryLedger
from codeforge.ledger.port import Outcome
from codeforge.results import ResultModel
from codeforge.task import Claim, TaskState
from tests.patience import PATIENCE_S
from tests.unit.execution.bench import EMPTY, Bench, Gate, Run

pytestmark = pytest.mark.anyio


class Flaky(MemoryLedger):
    """Away for the next `away` calls of its writes, and slow while `slow` is not set."""

    def __init__(self) -> None:
        super().__init__()
        self.away = 0
        self.calls = 0
        self.reached = asyncio.Event()
        self.slow: asyncio.Event | None = None

    async def _weather(self) -> None:
        self.calls += 1
        self.reached.set()
        if self.away > 0:
            self.away -= 1
            raise LedgerUnavailable("away")
        if self.slow is not None:
            await self.slow.wait()

    async def finish(self, claim: Claim, outcome: Outcome) -> TaskState:
        await self._weather()
        return await super().finish(claim, outcome)

    async def hand_back(self, claim: Claim, *, crashed: bool = False) -> None:
        await self._weather()
        await super().hand_back(claim, crashed=crashed)

    async def record_step(self, *args: Any, **kwargs: Any) -> None:
        await self._weather()
        await super().record_step(*args, **kwargs)

    async def emit(self, *args: Any) -> None:
        await self._weather()
        await super().emit(*args)


@pytest.fixture
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.execution.patience.FIRST_PAUSE_S", 0.001)


async def succeed(ctx: AgentContext) -> ResultModel:
    return EMPTY


@pytest.mark.usefixtures("_hurried")
async def test_result_survives_a_short_outage_of_the_ledger() -> None:
    ledger = Flaky()
    ledger.away = 3
    assert (await Bench(ledger).attempt(succeed)).state is TaskState.SUCCEEDED


@pytest.mark.usefixtures("_hurried")
async def test_step_survives_a_short_outage_without_running_again() -> None:
    ledger, gate = Flaky(), Gate()
    ledger.away = 3
    gate.opened.set()

    async def act(ctx: AgentContext) -> ResultModel:
        await ctx.step("one", gate, SearchReply)
        ledger.away = 2
        await ctx.emit("note", {"n": 1})
        return EMPTY

    assert (await Bench(ledger).attempt(act)).state is TaskState.SUCCEEDED
    assert gate.runs == 1


@pytest.mark.usefixtures("_hurried")
async def test_long_outage_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.execution.patience.PATIENCE_S", 0.5)
    ledger = Flaky()
    ledger.away = 1_000_000
    with pytest.raises(LedgerUnavailable):
        await Bench(ledger).attempt(succeed)
    assert ledger.calls > 1


@pytest.mark.usefixtures("_hurried")
async def test_outage_that_a_step_gave_up_on_costs_no_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.execution.patience.PATIENCE_S", 0.0)
    ledger = Flaky()

    async def act(ctx: AgentContext) -> ResultModel:
        ledger.away = 1
        await ctx.emit("note", {"n": 1})
        return EMPTY

    task = await Bench(ledger).attempt(act, max_attempts=1)
    assert (task.state, task.attempts) == (TaskState.QUEUED, 0)


@pytest.mark.usefixtures("_hurried")
async def test_outage_that_a_paid_answer_was_lost_to_costs_an_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.execution.patience.PATIENCE_S", 0.0)
    ledger = Flaky()

    async def act(ctx: AgentContext) -> ResultModel:
        ledger.away = 1
        await ctx.model("ask", ModelRequest(messages=[Message(role="user", content="hello")]))
        return EMPTY

    task = await Bench(ledger).attempt(act, max_attempts=1)
    assert (task.state, task.error and task.error.code) == (TaskState.DEAD, "ledger_unavailable")


@pytest.mark.parametrize(
    "pay",
    [
        lambda ctx: ctx.model("ask", ModelRequest(messages=[Message(role="user", content="hello")])),
        lambda ctx: ctx.web_search("search", "bread", provider="auto", limit=1),
    ],
)
async def test_cancellation_while_an_answer_is_kept_does_not_lose_it(
    pay: Callable[[AgentContext], Awaitable[object]],
) -> None:
    ledger = Flaky()
    ledger.slow = asyncio.Event()
    bench = Bench(ledger)

    async def act(ctx: AgentContext) -> ResultModel:
        await pay(ctx)
        return EMPTY

    run = Run(bench, await bench.claim(), act)
    async with asyncio.timeout(PATIENCE_S):
        await ledger.reached.wait()
    run.control.stop(StopReason.CANCELLED)
    await asyncio.sleep(0)
    ledger.slow.set()
    assert (await run.end()).state is TaskState.CANCELLED
    assert len(ledger.rows[run.claimed.task.id].journal) == 1


async def test_late_cancellation_does_not_lose_the_result() -> None:
    ledger = Flaky()
    ledger.slow = asyncio.Event()
    bench = Bench(ledger)
    run = Run(bench, await bench.claim(), succeed)
    await ledger.reached.wait()
    for stop in (lambda: run.control.stop(StopReason.CANCELLED), run.task.cancel):
        stop()
        await asyncio.sleep(0)
    assert not run.task.done()
    ledger.slow.set()
    assert (await run.end()).state is TaskState.SUCCEEDED
