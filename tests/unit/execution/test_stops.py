"""An attempt that is stopped from outside: by the client, by a drain, by another owner, by a ledger that is away."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from codeforge.agent import AgentContext, SearchReply
from codeforge.errors import LedgerUnavailable
from codeforge.execution.control import LEASE_POLL_S, AttemptControl, StopReason
from codeforge.ledger.lease import Lease
from codeforge.ledger.memory import MemoryLedger
from codeforge.ledger.port import ClaimedTask, Outcome
from codeforge.results import ResultModel
from codeforge.task import Claim, Task, TaskState
from tests.unit.execution.bench import EMPTY, Act, Bench, ScriptedAgent, held_lease

pytestmark = pytest.mark.anyio


class Run:
    """An attempt in progress."""

    def __init__(self, bench: Bench, claimed: ClaimedTask, act: Act) -> None:
        self.bench, self.claimed = bench, claimed
        self.control = AttemptControl(held_lease())
        self.task = asyncio.ensure_future(bench.runner.run(claimed, ScriptedAgent(act), self.control))

    async def end(self) -> Task:
        """The task once the attempt has ended."""
        async with asyncio.timeout(10):
            await self.task
        return await self.bench.ledger.get("acme", self.claimed.task.id)


class Gate:
    """An agent's step that waits until the test opens it."""

    def __init__(self) -> None:
        self.entered, self.opened = asyncio.Event(), asyncio.Event()
        self.runs = 0

    async def __call__(self) -> SearchReply:
        self.runs += 1
        self.entered.set()
        await self.opened.wait()
        return SearchReply(hits=[], warnings=["ran"])


async def test_client_s_cancel_stops_at_once() -> None:
    bench, gate = Bench(), Gate()

    async def act(ctx: AgentContext) -> ResultModel:
        await ctx.step("one", gate, SearchReply)
        return EMPTY

    run = Run(bench, await bench.claim(), act)
    await gate.entered.wait()
    run.control.stop(StopReason.CANCELLED)
    task = await run.end()
    assert (task.state, task.error and task.error.code) == (TaskState.CANCELLED, "cancelled")


@pytest.mark.parametrize(
    ("reason", "state"), [(StopReason.CANCELLED, TaskState.CANCELLED), (StopReason.DRAIN, TaskState.QUEUED)]
)
async def test_stop_before_the_first_step_of_the_coroutine_is_not_lost(reason: StopReason, state: TaskState) -> None:
    bench, started = Bench(), []

    async def act(ctx: AgentContext) -> ResultModel:
        started.append(1)
        return EMPTY

    run = Run(bench, await bench.claim(), act)
    run.control.stop(reason)
    assert ((await run.end()).state, started) == (state, [])


async def test_drain_lets_the_step_in_flight_be_journaled_and_hands_back() -> None:
    bench, gate, second = Bench(), Gate(), Gate()

    async def act(ctx: AgentContext) -> ResultModel:
        await ctx.step("one", gate, SearchReply)
        await ctx.step("two", second, SearchReply)
        return EMPTY

    run = Run(bench, await bench.claim(), act)
    await gate.entered.wait()
    run.control.stop(StopReason.DRAIN)
    gate.opened.set()
    task = await run.end()
    assert (task.state, task.attempts, second.runs) == (TaskState.QUEUED, 0, 0)
    assert list((await bench.claim(task.id)).journal) == ["one"]


async def test_drain_lets_an_attempt_succeed_whose_last_step_was_in_flight() -> None:
    bench, gate = Bench(), Gate()

    async def act(ctx: AgentContext) -> ResultModel:
        await ctx.step("one", gate, SearchReply)
        return EMPTY

    run = Run(bench, await bench.claim(), act)
    await gate.entered.wait()
    run.control.stop(StopReason.DRAIN)
    gate.opened.set()
    assert (await run.end()).state is TaskState.SUCCEEDED


async def test_drain_parks_a_new_step_beside_one_in_flight() -> None:
    bench, gate, parked = Bench(), Gate(), Gate()
    go_on = asyncio.Event()

    async def other(ctx: AgentContext) -> None:
        await go_on.wait()
        assert ctx.cancelled
        await ctx.step("two", parked, SearchReply)

    async def act(ctx: AgentContext) -> ResultModel:
        await asyncio.gather(ctx.step("one", gate, SearchReply), other(ctx))
        return EMPTY

    run = Run(bench, await bench.claim(), act)
    await gate.entered.wait()
    run.control.stop(StopReason.DRAIN)
    go_on.set()
    await asyncio.sleep(0)
    gate.opened.set()
    task = await run.end()
    assert (task.state, parked.runs) == (TaskState.QUEUED, 0)
    assert list((await bench.claim(task.id)).journal) == ["one"]


async def test_cancel_during_a_drain_wins() -> None:
    bench, gate = Bench(), Gate()

    async def act(ctx: AgentContext) -> ResultModel:
        await ctx.step("one", gate, SearchReply)
        return EMPTY

    run = Run(bench, await bench.claim(), act)
    await gate.entered.wait()
    run.control.stop(StopReason.DRAIN)
    run.control.stop(StopReason.CANCELLED)
    run.control.stop(StopReason.DRAIN)
    assert (await run.end()).state is TaskState.CANCELLED


async def test_cancellation_from_elsewhere_hands_back_and_passes() -> None:
    bench, gate = Bench(), Gate()

    async def act(ctx: AgentContext) -> ResultModel:
        await gate()
        return EMPTY

    run = Run(bench, await bench.claim(), act)
    await gate.entered.wait()
    run.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run.task
    task = await bench.ledger.get("acme", run.claimed.task.id)
    assert (task.state, task.attempts) == (TaskState.QUEUED, 0)


async def superseded(bench: Bench, claimed: ClaimedTask) -> None:
    """Another attempt has the task now."""
    await bench.ledger.hand_back(claimed.claim)
    await bench.claim(claimed.task.id)


async def test_attempt_that_no_longer_owns_the_task_stops_quietly() -> None:
    bench, reached = Bench(), []
    claimed = await bench.claim()

    async def act(ctx: AgentContext) -> ResultModel:
        await superseded(bench, claimed)
        await ctx.progress(1, 2)
        reached.append(1)
        return EMPTY

    with capture_logs() as logs:
        task = await Run(bench, claimed, act).end()
    assert (task.state, task.fence, task.progress, reached) == (TaskState.RUNNING, 2, None, [])
    assert [entry["event"] for entry in logs] == ["attempt_superseded"]


async def test_outcome_of_an_attempt_that_no_longer_owns_the_task_is_dropped() -> None:
    bench = Bench()
    claimed = await bench.claim()

    async def act(ctx: AgentContext) -> ResultModel:
        await superseded(bench, claimed)
        return EMPTY

    with capture_logs() as logs:
        task = await Run(bench, claimed, act).end()
    assert (task.state, task.result) == (TaskState.RUNNING, None)
    assert [entry["event"] for entry in logs] == ["outcome_refused"]


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

    async def hand_back(self, claim: Claim) -> None:
        await self._weather()
        await super().hand_back(claim)

    async def record_step(self, *args: Any) -> None:
        await self._weather()
        await super().record_step(*args)

    async def emit(self, *args: Any) -> None:
        await self._weather()
        await super().emit(*args)


@pytest.fixture
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.execution.patience.FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr("codeforge.execution.patience.PATIENCE_S", 0.05)


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
async def test_long_outage_is_given_up() -> None:
    ledger = Flaky()
    ledger.away = 1_000_000
    with pytest.raises(LedgerUnavailable):
        await Bench(ledger).attempt(succeed)
    assert ledger.calls > 1


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


async def test_no_step_begins_while_the_lease_does_not_hold() -> None:
    now = [0.0]
    lease = Lease(10, lambda: now[0])
    control = AttemptControl(lease)

    async def step() -> None:
        async with control:
            pass

    waiting = asyncio.create_task(step())
    await asyncio.wait([waiting], timeout=2 * LEASE_POLL_S)
    assert not waiting.done()
    lease.renewed(0.0)
    await asyncio.wait_for(waiting, 5)
