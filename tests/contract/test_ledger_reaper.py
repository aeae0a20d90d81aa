"""The reaper's side of the ledger: what dead workers held, what is due, what was lost."""

import asyncio
import json

import pytest

from codeforge.errors import StaleClaim
from codeforge.ledger.keys import ALONE, COMPANY, SUSPECT
from codeforge.ledger.memory.state import Message
from codeforge.ledger.port import Outcome, TaskFilter
from codeforge.task import TaskState
from codeforge.worker_types import Priority, WorkerType
from tests.contract.ledger_engines import FAILURE, SUCCESS, LedgerEngine
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.anyio


async def test_task_that_a_worker_died_with_alone_is_taken_back_or_dead(cf: LedgerEngine) -> None:
    fresh, last = await cf.submitted(max_attempts=2), await cf.submitted(max_attempts=1)
    await cf.claimed(fresh.id, "w1")
    await cf.claimed(last.id, "w2")
    assert (await cf.reaper.reap()).taken_back == 0  # the leases still hold
    await cf.expire_lease("w1")
    await cf.expire_lease("w2")
    report = await cf.reaper.reap()
    assert (report.taken_back, report.dead) == (1, 1)
    assert (await cf.ledger.get("acme", fresh.id)).state is TaskState.QUEUED
    dead = await cf.ledger.get("acme", last.id)
    assert (dead.state, dead.error and dead.error.code) == (TaskState.DEAD, "worker_lost")


async def test_crash_in_company_costs_no_attempt_and_some_of_them_make_suspects(cf: LedgerEngine) -> None:
    tasks = [await cf.submitted(max_attempts=1) for _ in range(3)]
    for crash in (*range(1, SUSPECT + 1), SUSPECT):  # the last worker's death is none of its suspects' fault
        for task in tasks:
            await cf.claimed(task.id)
        await cf.expire_lease("w1")
        report = await cf.reaper.reap()
        assert (report.taken_back, report.dead) == (3, 0)
        got = await cf.ledger.get("acme", tasks[0].id)
        assert (got.state, got.attempts, got.crashes, got.reasons) == (TaskState.QUEUED, 0, crash, b"[]")


async def test_worker_that_came_back_amid_its_reaping_and_dies_with_one_task_dies_alone(
    cf: LedgerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codeforge.ledger.keys.MAX_PER_CALL", 1)
    monkeypatch.setattr("codeforge.ledger.memory.reaper.MAX_PER_CALL", 1)
    tasks = [await cf.submitted(max_attempts=2) for _ in range(2)]
    for task in tasks:
        await cf.claimed(task.id)
    await cf.expire_lease("w1")
    assert (await cf.reaper.reap()).taken_back == 1
    await cf.worker("w1")
    assert (await cf.reaper.reap()).taken_back == 0
    await cf.expire_lease("w1")
    assert (await cf.reaper.reap()).taken_back == 1
    got = [await cf.ledger.get("acme", task.id) for task in tasks]
    assert sorted((task.attempts, task.crashes) for task in got) == [(0, 1), (1, 0)]


async def test_suspect_is_left_to_a_worker_that_has_a_place_for_it(cf: LedgerEngine) -> None:
    task = await cf.submitted(max_attempts=1)
    for crashes in range(ALONE + 2):
        others = [level for level in COMPANY if level != min(crashes, ALONE)]
        if crashes >= SUSPECT:
            assert await cf.ledger.claim(task.id, await cf.worker(), "a full worker's", room=others) is None
        claimed = await cf.ledger.claim(task.id, await cf.worker(), f"{crashes}", room=[min(crashes, ALONE)])
        assert claimed is not None
        assert claimed.task.crashes == crashes
        await cf.ledger.hand_back(claimed.claim, crashed=True)
        await cf.ledger.hand_back(claimed.claim, crashed=True)  # its answer was lost
    got = await cf.ledger.get("acme", task.id)
    assert (got.state, got.attempts) == (TaskState.QUEUED, 0)


async def test_suspect_that_is_alone_in_its_worker_is_not_blamed_for_the_worker_s_death(cf: LedgerEngine) -> None:
    task = await cf.submitted(max_attempts=1)
    await cf.ledger.suspect((await cf.claimed(task.id)).claim)
    await cf.expire_lease("w1")
    assert (await cf.reaper.reap()).taken_back == 1
    got = await cf.ledger.get("acme", task.id)
    assert (got.attempts, got.crashes) == (0, ALONE)


async def test_dead_task_tells_why_each_attempt_ended(cf: LedgerEngine) -> None:
    task = await cf.submitted(max_attempts=2)
    retry = Outcome("retry", error=FAILURE)
    await cf.ledger.finish((await cf.claimed(task.id)).claim, retry)
    async with asyncio.timeout(PATIENCE_S):
        while not (await cf.reaper.reap()).promoted:
            pass
    await cf.claimed(task.id)
    await cf.expire_lease("w1")
    assert (await cf.reaper.reap()).dead == 1
    reasons = json.loads((await cf.ledger.get("acme", task.id)).reasons)
    assert [(reason["attempt"], reason["code"]) for reason in reasons] == [(1, FAILURE.code), (2, "worker_lost")]


async def test_suspect_runs_alone_from_then_on(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    await cf.ledger.suspect(claimed.claim)
    await cf.ledger.hand_back(claimed.claim)
    with pytest.raises(StaleClaim):
        await cf.ledger.suspect(claimed.claim)
    assert (await cf.claimed(task.id)).task.crashes == ALONE


async def test_nobody_is_judged_for_one_lease_after_an_outage(cf: LedgerEngine) -> None:
    held, late = await cf.submitted(), await cf.submitted()
    await cf.claimed(held.id)
    await cf.claimed(late.id)
    await cf.overdue(late.id)
    await cf.expire_lease("w1")
    await cf.pause_reaper()
    for _ in range(2):  # the grace outlasts the pass that began it
        report = await cf.reaper.reap()
        assert (report.taken_back, report.timed_out, report.dead) == (0, 0, 0)
    assert (await cf.ledger.get("acme", held.id)).state is TaskState.RUNNING


async def test_lost_messages_are_rung_again_and_present_ones_are_not(cf: LedgerEngine) -> None:
    tasks = [await cf.submitted() for _ in range(5)]
    for task in tasks:  # all have waited longer than the grace
        await cf.age_in_queue(task.id)
    assert (await cf.reaper.reap()).rung == 0
    await cf.lose_messages("scrape")
    assert (await cf.reaper.reap()).rung == 5
    assert (await cf.reaper.reap()).rung == 0
    assert {message.task_id for message in await cf.messages("scrape")} == {task.id for task in tasks}


async def test_lost_message_of_an_urgent_task_is_not_hidden_by_an_older_backlog(cf: LedgerEngine) -> None:
    backlog = [await cf.submitted(priority=Priority.LOW) for _ in range(3)]
    urgent = await cf.submitted(priority=Priority.HIGH)
    for task in (*backlog, urgent):
        await cf.age_in_queue(task.id)
    await cf.lose_messages("scrape.high")
    assert (await cf.reaper.reap()).rung == 1
    assert [message.task_id for message in await cf.messages("scrape.high")] == [urgent.id]
    assert len(await cf.messages("scrape.low")) == 3
    for task in (*backlog, urgent):
        await cf.age_in_queue(task.id)
    assert (await cf.reaper.reap()).rung == 0  # it is there


async def test_suspect_for_which_no_place_was_free_is_rung_for_again_soon(cf: LedgerEngine) -> None:
    suspect, other = await cf.submitted(), await cf.submitted()
    for task in (suspect, other):
        for _ in range(SUSPECT):
            await cf.ledger.hand_back((await cf.claimed(task.id)).claim, crashed=task is suspect)
        await cf.rung_often(task.id, ago_ms=20_000)
    await cf.lose_messages("scrape")
    await cf.reaper.reap()
    assert [message.task_id for message in await cf.messages("scrape")] == [suspect.id]


async def test_overdue_task_ends_as_timeout_without_its_worker(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    await cf.overdue(task.id)
    assert (await cf.reaper.reap()).timed_out == 1
    got = await cf.ledger.get("acme", task.id)
    assert (got.state, got.error and got.error.code) == (TaskState.FAILED, "timeout")
    with pytest.raises(StaleClaim):
        await cf.ledger.finish(claimed.claim, SUCCESS)


async def test_overdue_task_whose_row_is_gone_stops_no_pass(cf: LedgerEngine) -> None:
    gone, late = await cf.submitted(), await cf.submitted()
    for task in (gone, late):
        await cf.claimed(task.id)
        await cf.overdue(task.id)
    await cf.expire_task(gone.id)
    assert (await cf.reaper.reap()).timed_out == 1
    assert (await cf.ledger.get("acme", late.id)).state is TaskState.FAILED
    assert (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE].running == 0


async def test_task_of_a_dead_worker_that_the_client_cancelled_is_cancelled(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    await cf.claimed(task.id)
    await cf.ledger.cancel("acme", task.id)
    await cf.expire_lease("w1")
    await cf.reaper.reap()
    assert (await cf.ledger.get("acme", task.id)).state is TaskState.CANCELLED


async def test_tasks_of_a_worker_that_stopped_in_order_are_taken_back_at_once(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    await cf.claimed(task.id)
    await cf.ledger.end_lease("w1")
    assert (await cf.reaper.reap()).taken_back == 1
    assert (await cf.messages("scrape"))[-1] == Message(f"{task.id}:r1", task.id)


async def test_one_reaper_leads(cf: LedgerEngine) -> None:
    assert await cf.reaper.lead("a", 30)
    assert await cf.reaper.lead("a", 30)
    assert not await cf.reaper.lead("b", 30)
    await cf.reaper.step_down("a")
    assert await cf.reaper.lead("b", 30)


async def test_index_forgets_tasks_that_expired(cf: LedgerEngine) -> None:
    gone, kept = await cf.submitted(), await cf.submitted()
    await cf.expire_task(gone.id)
    assert await cf.reaper.forget() == 1
    assert [task.id for task in (await cf.ledger.list("acme", TaskFilter(), 10, None)).tasks] == [kept.id]


async def test_dead_tasks_that_expired_are_forgotten(cf: LedgerEngine) -> None:
    task = await cf.submitted(max_attempts=1)
    await cf.ledger.finish((await cf.claimed(task.id)).claim, Outcome("retry", error=FAILURE))
    assert (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE].dead == 1
    await cf.expire_task(task.id)
    assert await cf.reaper.forget() == 2  # the index and the dead
    assert (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE].dead == 0
