"""What the ledger says that a worker runs and that it does not."""

import asyncio
from typing import Any

import pytest

from codeforge.errors import LedgerUnavailable
from codeforge.execution.strays import StrayWatch
from codeforge.task import TaskState
from tests.factories import new_task
from tests.patience import PATIENCE_S
from tests.unit.execution.bench import INPUT, Bench
from tests.unit.execution.test_runtime import Worker

pytestmark = pytest.mark.anyio


async def test_stray_is_handed_back_at_the_second_look_and_costs_no_attempt() -> None:
    bench = Bench()
    stray, run = await bench.claim(), await bench.claim()
    watch = StrayWatch(bench.ledger, stray.claim.worker, lambda: {run.task.id}, 1.0)
    await watch.look()
    assert bench.ledger.rows[stray.task.id].task.state is TaskState.RUNNING  # its claim may be on its way
    await watch.look()
    back, kept = (bench.ledger.rows[task.task.id].task for task in (stray, run))
    assert (back.state, back.attempts) == (TaskState.QUEUED, 0)
    assert kept.state is TaskState.RUNNING


async def test_task_that_is_claimed_anew_between_two_looks_is_left_alone() -> None:
    bench = Bench()
    first = await bench.claim()
    running: set[str] = set()
    watch = StrayWatch(bench.ledger, first.claim.worker, lambda: running, 1.0)
    await watch.look()
    await bench.ledger.hand_back(first.claim)
    again = await bench.ledger.claim(first.task.id, first.claim.worker, "another claim")
    await watch.look()
    assert again is not None
    assert bench.ledger.rows[first.task.id].task.state is TaskState.RUNNING
    running.add(first.task.id)
    await watch.look()
    assert bench.ledger.rows[first.task.id].task.state is TaskState.RUNNING


async def test_worker_looks_for_strays_through_outages_of_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    failures, look = [LedgerUnavailable("it cannot be reached")], worker.bench.ledger.strays

    async def strays(*args: Any) -> Any:
        if failures:
            raise failures.pop()
        return await look(*args)

    monkeypatch.setattr(worker.bench.ledger, "strays", strays)
    runtime = worker.made(strays_every_s=0.01)
    await runtime.start(1)
    task = new_task(input=INPUT)
    await worker.bench.ledger.submit([task])
    await worker.bench.ledger.claim(task.id, runtime.worker_id, "whose answer was lost")
    async with asyncio.timeout(PATIENCE_S):
        while await worker.state(task.id) is TaskState.RUNNING:  # noqa: ASYNC110 - the ledger tells nobody
            await asyncio.sleep(0.005)
    assert not failures
    await runtime.stop()
