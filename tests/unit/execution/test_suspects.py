"""Suspects in child processes: how a child ends decides what the ledger hears of those aboard."""

import asyncio
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codeforge.execution.control import AttemptControl, StopReason
from codeforge.execution.suspects import AT_ONCE, SuspectRunner, read_order, run_order, stop_order
from codeforge.ledger.keys import ALONE, COMPANY, SUSPECT
from codeforge.task import Task, TaskState
from tests.patience import PATIENCE_S
from tests.servers.celery_worker import wait_until
from tests.unit.execution.bench import Bench, held_lease

pytestmark = pytest.mark.anyio

WAITS = "import sys, time; sys.stdin.readline(); open({path!r}, 'w').write('here'); time.sleep(60)"

TAKES = """
import json, sys
taken = []
for line in sys.stdin:
    taken.append(json.loads(line)["run"]["task_id"])
    with open({path!r}, "a") as log:
        log.write("x")
    if len(taken) == {most}:
        break
"""
DIES_WITH = TAKES + "raise SystemExit(3)"
ANSWERS_ONE_AND_DIES = TAKES + "print(taken[0], flush=True); import os; os.kill(os.getpid(), 9)"
ANSWERS_ALL = TAKES + "print(*taken, sep=chr(10), flush=True); sys.stdin.read()"


class Child:
    """Attempts whose child runs `code`."""

    def __init__(self, code: str, crashes: int = ALONE, **task: Any) -> None:
        self.bench = Bench()
        self.runner = SuspectRunner(self.bench.ledger, [sys.executable, "-c", code])
        self.controls: list[AttemptControl] = []
        self._task = task
        self._crashes = crashes

    async def run(self) -> Task:
        claimed = await self.bench.claim(**self._task)
        row = self.bench.ledger.rows[claimed.task.id]
        row.set(crashes=self._crashes)
        self.controls.append(AttemptControl(held_lease()))
        await self.runner.run(replace(claimed, task=row.task), self.controls[-1])
        return await self.bench.ledger.get("acme", claimed.task.id)

    async def run_all(self, count: int) -> list[Task]:
        async with asyncio.timeout(PATIENCE_S):
            return await asyncio.gather(*(self.run() for _ in range(count)))

    def stop(self, reason: StopReason) -> None:
        for control in self.controls:
            control.stop(reason)

    async def stopped(self, reason: StopReason, started: Path) -> Task:
        run = asyncio.create_task(self.run())
        await asyncio.to_thread(wait_until, started.exists, "a child that has begun")
        self.stop(reason)
        return await run


@pytest.mark.parametrize(
    ("code", "how"),
    [("raise SystemExit(3)", "exit code 3"), ("import os; os.kill(os.getpid(), 9)", "by signal 9")],
    ids=["exit", "signal"],
)
async def test_crash_of_a_child_with_one_aboard_is_that_one_s(code: str, how: str) -> None:
    task = await Child(code, max_attempts=1).run()
    assert task.state is TaskState.DEAD
    assert task.error is not None
    assert task.error.code == "agent_crashed"
    assert how in task.error.message


async def test_crash_of_a_child_with_several_aboard_costs_no_attempt_and_leaves_them_less_company(
    tmp_path: Path,
) -> None:
    child = Child(DIES_WITH.format(path=str(tmp_path / "log"), most=3), SUSPECT, max_attempts=1)
    for task in await child.run_all(3):
        assert (task.state, task.attempts, task.crashes) == (TaskState.QUEUED, 0, SUSPECT + 1)


async def test_who_was_done_when_the_child_died_is_not_counted(tmp_path: Path) -> None:
    child = Child(ANSWERS_ONE_AND_DIES.format(path=str(tmp_path / "log"), most=3), SUSPECT)
    tasks = await child.run_all(3)
    assert sorted(task.crashes for task in tasks) == [SUSPECT, SUSPECT + 1, SUSPECT + 1]


@pytest.mark.parametrize("crashes", COMPANY)
async def test_a_child_takes_as_many_as_their_crashes_allow(tmp_path: Path, crashes: int) -> None:
    most, log = COMPANY[crashes], tmp_path / "log"
    child = Child(ANSWERS_ALL.format(path=str(log), most=most), crashes)
    tasks = await child.run_all(most * 2)  # of two children, or they would wait for more
    assert len(log.read_text()) == most * 2
    assert {task.state for task in tasks} == {TaskState.RUNNING}  # the real child has handed in by then


async def test_room_is_where_a_suspect_would_run_at_once(tmp_path: Path) -> None:
    started = tmp_path / "started"
    child = Child(WAITS.format(path=str(started)))
    assert list(child.runner.room) == list(COMPANY)
    runs = [asyncio.create_task(child.run()) for _ in range(AT_ONCE)]
    async with asyncio.timeout(PATIENCE_S):
        while child.runner.room:  # noqa: ASYNC110 - a semaphore tells nobody
            await asyncio.sleep(0.01)
    child.stop(StopReason.DRAIN)
    await asyncio.gather(*runs)
    async with asyncio.timeout(PATIENCE_S):
        while list(child.runner.room) != list(COMPANY):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_child_that_ends_in_order_has_handed_in_itself() -> None:
    child = Child("import sys; sys.stdin.readline()")
    assert (await child.run()).state is TaskState.RUNNING


async def test_child_that_cannot_be_started_is_a_crash() -> None:
    child = Child("", max_attempts=1)
    child.runner = SuspectRunner(child.bench.ledger, ["/no/such/interpreter"])
    assert (await child.run()).state is TaskState.DEAD


async def test_child_that_overruns_its_time_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.execution.suspects.OVERTIME_S", 0.0)
    started = time.monotonic()
    task = await Child("while True: pass", timeout_s=1).run()
    assert (task.state, task.error and task.error.code) == (TaskState.FAILED, "timeout")
    assert time.monotonic() - started < 30


async def test_suspect_whose_time_goes_by_before_a_place_is_free_ends_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("codeforge.execution.suspects.OVERTIME_S", 0.0)
    others = Child(WAITS.format(path=str(tmp_path / "started")))
    runs = [asyncio.create_task(others.run()) for _ in range(AT_ONCE)]
    async with asyncio.timeout(PATIENCE_S):
        while others.runner.room:  # noqa: ASYNC110 - a semaphore tells nobody
            await asyncio.sleep(0.01)
    late = Child("", timeout_s=1)
    late.bench, late.runner = others.bench, others.runner
    task = await late.run()
    assert (task.state, task.error and task.error.code) == (TaskState.FAILED, "timeout")
    others.stop(StopReason.DRAIN)
    await asyncio.gather(*runs)


async def test_child_that_hangs_with_several_aboard_is_killed_and_nobody_is_blamed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("codeforge.execution.suspects.OVERTIME_S", 0.0)
    hangs = TAKES.format(path=str(tmp_path / "log"), most=2) + "\nwhile True: pass"
    for task in await Child(hangs, SUSPECT, timeout_s=1).run_all(2):
        assert (task.state, task.attempts, task.crashes) == (TaskState.QUEUED, 0, SUSPECT + 1)


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (StopReason.CANCELLED, TaskState.CANCELLED),
        (StopReason.DRAIN, TaskState.QUEUED),
        (StopReason.OVERGROWN, TaskState.QUEUED),
    ],
)
async def test_stop_reaches_the_child(tmp_path: Path, reason: StopReason, state: TaskState) -> None:
    started = tmp_path / "started"
    task = await Child(WAITS.format(path=str(started))).stopped(reason, started)
    assert (task.state, task.crashes) == (state, ALONE)


async def test_what_the_child_is_told_is_the_claim() -> None:
    claim = (await Bench().claim()).claim
    assert read_order(run_order(claim)) == (claim.task_id, claim.type, claim.worker, claim.claim_id)
    assert read_order(stop_order(claim.task_id)) == claim.task_id
