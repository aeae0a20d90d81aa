"""Suspects in processes of their own: how the child ends decides what the ledger hears."""

import asyncio
import sys
import time
from pathlib import Path

import pytest

from codeforge.execution.control import AttemptControl, StopReason
from codeforge.execution.solo import SoloRunner, claim_parts, claim_text
from codeforge.task import Task, TaskState
from tests.unit.execution.bench import Bench, held_lease

pytestmark = pytest.mark.anyio

WAITS = "import sys, time; sys.stdin.readline(); open({path!r}, 'w').write('here'); time.sleep(60)"


def wait_for(path: Path) -> None:
    """Another process makes the file."""
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Child:
    """An attempt whose child runs `code`."""

    def __init__(self, code: str, **task: object) -> None:
        self.bench = Bench()
        self.runner = SoloRunner(self.bench.ledger, [sys.executable, "-c", code])
        self.control = AttemptControl(held_lease())
        self._task = task

    async def run(self) -> Task:
        claimed = await self.bench.claim(**self._task)
        await self.runner.run(claimed, self.control)
        return await self.bench.ledger.get("acme", claimed.task.id)

    async def stopped(self, reason: StopReason, started: Path) -> Task:
        run = asyncio.create_task(self.run())
        await asyncio.to_thread(wait_for, started)
        self.control.stop(reason)
        return await run


@pytest.mark.parametrize(
    ("code", "how"),
    [("raise SystemExit(3)", "exit code 3"), ("import os; os.kill(os.getpid(), 9)", "by signal 9")],
    ids=["exit", "signal"],
)
async def test_crash_of_the_child_is_this_task_s_alone(code: str, how: str) -> None:
    task = await Child(code, max_attempts=1).run()
    assert task.state is TaskState.DEAD
    assert task.error is not None
    assert task.error.code == "agent_crashed"
    assert how in task.error.message


async def test_child_that_ends_in_order_has_handed_in_itself() -> None:
    child = Child("import sys; sys.stdin.readline()")
    assert (await child.run()).state is TaskState.RUNNING


async def test_child_that_overruns_its_time_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.execution.solo.OVERTIME_S", 0.0)
    started = time.monotonic()
    task = await Child("while True: pass", timeout_s=1).run()
    assert (task.state, task.error and task.error.code) == (TaskState.FAILED, "timeout")
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("reason", "state"), [(StopReason.CANCELLED, TaskState.CANCELLED), (StopReason.DRAIN, TaskState.QUEUED)]
)
async def test_stop_reaches_the_child(tmp_path: Path, reason: StopReason, state: TaskState) -> None:
    started = tmp_path / "started"
    task = await Child(WAITS.format(path=str(started))).stopped(reason, started)
    assert task.state is state


async def test_what_the_child_is_told_is_the_claim() -> None:
    claim = (await Bench().claim()).claim
    assert claim_parts(claim_text(claim)) == (claim.task_id, claim.type, claim.worker, claim.claim_id)
