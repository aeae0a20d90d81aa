"""An attempt that is stopped from outside: by the client, by a drain, by another owner, by a ledger that is away."""

import asyncio

import pytest
from structlog.testing import capture_logs

from codeforge.agent import AgentContext, SearchReply
from codeforge.execution.control import LEASE_POLL_S, AttemptControl, StopReason
from codeforge.ledger.lease import Lease
from codeforge.ledger.port import ClaimedTask
from codeforge.results import ResultModel
from codeforge.task import TaskState
from tests.patience import PATIENCE_S
from tests.unit.execution.bench import EMPTY, Bench, Gate, Run

pytestmark = pytest.mark.anyio


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


async def test_cancellation_that_was_swallowed_on_the_way_still_ends_the_attempt() -> None:
    bench, begun, swallowed = Bench(), asyncio.Event(), asyncio.Event()

    async def act(ctx: AgentContext) -> ResultModel:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            swallowed.set()
        await ctx.progress(1, 2)
        return EMPTY

    run = Run(bench, await bench.claim(), act)
    await begun.wait()
    run.control.stop(StopReason.CANCELLED)
    assert (await run.end()).state is TaskState.CANCELLED
    assert swallowed.is_set()


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
    await asyncio.wait_for(waiting, PATIENCE_S)
