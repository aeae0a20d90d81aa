"""The ledger's transitions: what a client, a worker and an operator would see."""

import asyncio

import pytest

from codeforge.errors import IdempotencyConflict, StaleClaim, StateConflict, UnknownParent
from codeforge.identity import new_task_id
from codeforge.ledger.memory.state import Message
from codeforge.ledger.port import Idempotency, Outcome, WorkerRecord
from codeforge.task import ModelCall, Progress, TaskState, Usage
from codeforge.worker_types import Priority, WorkerType
from tests.contract.ledger_engines import FAILURE, SUCCESS, LedgerEngine
from tests.factories import new_task
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.anyio


async def test_submitted_task_is_a_row_a_place_and_a_message(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    got = await cf.ledger.get("acme", task.id)
    assert (got.state, got.attempts, got.fence, got.stored) == (TaskState.QUEUED, 0, 0, False)
    assert got.input == task.input  # byte for byte: an empty list stays one
    snapshot = await cf.ledger.snapshot()
    assert snapshot.depths[WorkerType.SCRAPE].queued == 1
    assert await cf.messages("scrape") == [Message(task.id, task.id)]


async def test_priorities_have_their_own_queues(cf: LedgerEngine) -> None:
    high = await cf.submitted(priority=Priority.HIGH)
    assert await cf.messages("scrape.high") == [Message(high.id, high.id)]
    assert await cf.messages("scrape") == []


async def test_same_submission_twice_is_one_task(cf: LedgerEngine) -> None:
    task = new_task()
    assert (await cf.ledger.submit([task])).ids == (await cf.ledger.submit([task])).ids
    assert len(await cf.messages("scrape")) == 1


async def test_idempotency_key_answers_the_first_tasks_again(cf: LedgerEngine) -> None:
    first, again = [new_task(), new_task()], [new_task(), new_task()]
    made = await cf.ledger.submit(first, Idempotency("k", "hash"))
    replayed = await cf.ledger.submit(again, Idempotency("k", "hash"))
    assert replayed.replayed
    assert replayed.ids == made.ids == [task.id for task in first]
    with pytest.raises(IdempotencyConflict):
        await cf.ledger.submit(again, Idempotency("k", "other"))
    other = await cf.ledger.submit([new_task(tenant="rival")], Idempotency("k", "other"))
    assert not other.replayed
    assert len(await cf.messages("scrape")) == 3
    assert [await cf.ledger.knows_key(*known) for known in (("acme", "k"), ("rival", "k"), ("acme", "x"))] == [
        True, True, False
    ]  # fmt: skip


async def test_unknown_parent_enqueues_nothing(cf: LedgerEngine) -> None:
    rival = await cf.submitted(tenant="rival")
    with pytest.raises(UnknownParent) as caught:
        await cf.ledger.submit([new_task(), new_task(parent_id=rival.id)])
    assert (caught.value.field, caught.value.index) == ("parent_id", 1)
    assert len(await cf.messages("scrape")) == 1


async def test_child_names_its_parent(cf: LedgerEngine) -> None:
    parent = await cf.submitted()
    child = await cf.submitted(parent_id=parent.id)
    assert (await cf.ledger.get("acme", child.id)).parent_id == parent.id


async def test_repeated_submission_with_a_key_is_no_replay_of_itself(cf: LedgerEngine) -> None:
    tasks = [new_task(), new_task()]
    first = await cf.ledger.submit(tasks, Idempotency("k", "hash"))
    again = await cf.ledger.submit(tasks, Idempotency("k", "hash"))
    assert (again.ids, again.replayed) == (first.ids, False)


async def test_thousand_tasks_at_once(cf: LedgerEngine) -> None:
    tasks = [new_task() for _ in range(1000)]
    assert (await cf.ledger.submit(tasks, Idempotency("batch", "h"))).ids == [task.id for task in tasks]
    replayed = await cf.ledger.submit([new_task() for _ in range(1000)], Idempotency("batch", "h"))
    assert replayed.ids == [task.id for task in tasks]


async def test_claim_gives_a_growing_fence_and_only_once(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    assert (claimed.task.state, claimed.task.attempts, claimed.claim.fence) == (TaskState.RUNNING, 1, 1)
    assert await cf.ledger.claim(task.id, await cf.worker("w2"), "another") is None
    assert await cf.ledger.claim(new_task_id(), "w2", "another") is None
    await cf.ledger.hand_back(claimed.claim)
    assert (await cf.claimed(task.id, "w2")).claim.fence == 2


async def test_repeated_claim_after_a_lost_answer_is_the_same_claim(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    worker = await cf.worker()
    first = await cf.ledger.claim(task.id, worker, "claim")
    assert first is not None
    assert await cf.ledger.claim(task.id, worker, "claim") == first


async def test_claim_needs_a_live_lease(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    with pytest.raises(StaleClaim):
        await cf.ledger.claim(task.id, "nobody", "c")
    await cf.expire_lease(await cf.worker())
    with pytest.raises(StaleClaim):
        await cf.ledger.claim(task.id, "w1", "c")


async def test_success_sets_result_state_outbox_and_counters_in_one_step(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    assert await cf.ledger.finish(claimed.claim, SUCCESS) is TaskState.SUCCEEDED
    assert await cf.ledger.finish(claimed.claim, SUCCESS) is TaskState.SUCCEEDED  # the answer was lost: same again
    got = await cf.ledger.get("acme", task.id)
    assert (got.state, got.result, got.error) == (TaskState.SUCCEEDED, SUCCESS.result, None)
    assert got.finished_at is not None
    assert got.started_at is not None
    assert got.finished_at >= got.started_at
    snapshot = await cf.ledger.snapshot()
    assert snapshot.outbox_entries == 1
    assert snapshot.counters["finished:scrape:succeeded"] == 1
    assert (snapshot.depths[WorkerType.SCRAPE].queued, snapshot.depths[WorkerType.SCRAPE].running) == (0, 0)


async def test_stale_claim_can_write_nothing(cf: LedgerEngine) -> None:
    task = await cf.submitted(max_attempts=3)
    old = await cf.claimed(task.id)
    await cf.expire_lease("w1")
    assert (await cf.reaper.reap()).taken_back == 1
    new = await cf.claimed(task.id, "w2")
    for write in (
        cf.ledger.finish(old.claim, SUCCESS),
        cf.ledger.hand_back(old.claim),
        cf.ledger.record_step(old.claim, "s", b"1", None),
        cf.ledger.emit(old.claim, "x", b"{}"),
        cf.ledger.progress(old.claim, Progress(1, 2)),
    ):
        with pytest.raises(StaleClaim):
            await write
    got = await cf.ledger.get("acme", task.id)
    assert (got.state, got.fence, got.progress) == (TaskState.RUNNING, 2, None)
    assert await cf.ledger.finish(new.claim, SUCCESS) is TaskState.SUCCEEDED


async def test_equal_fence_with_another_claim_id_is_stale(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    await cf.replace_claim(task.id)
    with pytest.raises(StaleClaim):
        await cf.ledger.finish(claimed.claim, SUCCESS)


async def test_steps_are_journaled_once_with_their_cost(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    call = ModelCall("plan", "m", 10, 5, 0.25, 100)
    await cf.ledger.record_step(claimed.claim, "plan", b'"first"', call)
    await cf.ledger.record_step(claimed.claim, "plan", b'"again"', call)
    assert (await cf.ledger.get("acme", task.id)).usage == Usage(10, 5, 0.25)
    await cf.ledger.hand_back(claimed.claim)
    assert (await cf.claimed(task.id)).journal == {"plan": b'"first"'}
    assert (await cf.ledger.snapshot()).counters["llm_tokens:m:input"] == 10


async def test_retry_waits_then_runs_and_ends_dead(cf: LedgerEngine) -> None:
    task = await cf.submitted(max_attempts=2)
    retry = Outcome("retry", error=FAILURE, retry_delay_s=0.05)
    assert await cf.ledger.finish((await cf.claimed(task.id)).claim, retry) is TaskState.QUEUED
    got = await cf.ledger.get("acme", task.id)
    assert got.not_before is not None
    assert got.error == FAILURE
    assert (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE].delayed == 1
    async with asyncio.timeout(PATIENCE_S):
        while not (await cf.reaper.reap()).promoted:
            pass
    assert (await cf.messages("scrape"))[-1] == Message(f"{task.id}:r1", task.id)
    assert await cf.ledger.finish((await cf.claimed(task.id)).claim, retry) is TaskState.DEAD
    assert (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE].dead == 1


async def test_retry_without_a_reason_waits_all_the_same(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    assert await cf.ledger.finish(claimed.claim, Outcome("retry", retry_delay_s=60.0)) is TaskState.QUEUED
    got = await cf.ledger.get("acme", task.id)
    assert got.error is None
    assert got.not_before is not None
    assert got.not_before - got.created_at >= 60_000


async def test_hand_back_costs_no_attempt_and_rings(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    await cf.ledger.hand_back(claimed.claim)
    got = await cf.ledger.get("acme", task.id)
    assert (got.state, got.attempts) == (TaskState.QUEUED, 0)
    assert len(await cf.messages("scrape")) == 2


async def test_repeated_hand_back_is_answered_as_the_first_time(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    await cf.ledger.hand_back(claimed.claim)
    await cf.ledger.hand_back(claimed.claim)  # the answer was lost
    assert (await cf.ledger.get("acme", task.id)).attempts == 0
    assert len(await cf.messages("scrape")) == 2
    with pytest.raises(StaleClaim):
        await cf.ledger.finish(claimed.claim, SUCCESS)
    await cf.claimed(task.id)
    with pytest.raises(StaleClaim):
        await cf.ledger.hand_back(claimed.claim)


async def test_cancel_of_a_queued_task_is_at_once(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    assert await cf.ledger.cancel("acme", task.id) is TaskState.CANCELLED
    assert await cf.ledger.claim(task.id, await cf.worker(), "c") is None
    with pytest.raises(StateConflict):
        await cf.ledger.cancel("acme", task.id)


async def test_cancellation_is_repeated_with_its_key(cf: LedgerEngine) -> None:
    waiting, running = await cf.submitted(), await cf.submitted()
    claimed = await cf.claimed(running.id)
    for _ in range(2):
        assert await cf.ledger.cancel("acme", waiting.id, "k") is TaskState.CANCELLED
        assert await cf.ledger.cancel("acme", running.id, "k") is TaskState.RUNNING
    await cf.ledger.finish(claimed.claim, Outcome("cancelled", error=FAILURE))
    assert await cf.ledger.cancel("acme", running.id, "k") is TaskState.RUNNING
    for task in (waiting, running):
        with pytest.raises(StateConflict):
            await cf.ledger.cancel("acme", task.id, "other")
        kinds = [event.kind for event in await cf.ledger.events("acme", task.id, "0", 0)]
        assert kinds.count("cancelled") == 1


async def test_replay_is_repeated_with_its_key(cf: LedgerEngine) -> None:
    task = await cf.submitted(max_attempts=1)
    for key in ("first", "second"):
        claimed = await cf.claimed(task.id)
        assert await cf.ledger.finish(claimed.claim, Outcome("failed", error=FAILURE)) is TaskState.FAILED
        for _ in range(2):
            assert await cf.ledger.replay("acme", task.id, key) is TaskState.QUEUED
        with pytest.raises(StateConflict):
            await cf.ledger.replay("acme", task.id, "other")
    await cf.ledger.finish((await cf.claimed(task.id)).claim, SUCCESS)
    assert await cf.ledger.replay("acme", task.id, "second") is TaskState.QUEUED
    assert (await cf.ledger.get("acme", task.id)).state is TaskState.SUCCEEDED
    assert (await cf.ledger.snapshot()).counters["replayed:scrape"] == 2


async def test_cancel_of_a_running_task_reaches_its_worker(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    assert await cf.ledger.cancel("acme", task.id) is TaskState.RUNNING
    record = WorkerRecord("w1", [WorkerType.SCRAPE], 10)
    attempt = claimed.claim.attempt
    assert await cf.ledger.renew_lease(record) == [attempt]
    assert await cf.ledger.renew_lease(record) == [attempt]  # as long as it is not known to be heard
    assert await cf.ledger.renew_lease(record, [attempt]) == []
    assert await cf.ledger.finish(claimed.claim, Outcome("retry", error=FAILURE)) is TaskState.CANCELLED


async def test_cancellation_that_came_too_late_does_not_hit_the_replay(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    await cf.ledger.cancel("acme", task.id)
    await cf.ledger.finish(claimed.claim, Outcome("cancelled", error=FAILURE))
    await cf.ledger.replay("acme", task.id)
    again = await cf.claimed(task.id)
    assert again.claim.attempt not in await cf.ledger.renew_lease(WorkerRecord("w1", [WorkerType.SCRAPE], 10))


async def test_cancellation_of_a_replay_is_not_heard_with_the_one_before(cf: LedgerEngine) -> None:
    record = WorkerRecord("w1", [WorkerType.SCRAPE], 10)
    task = await cf.submitted()
    first = await cf.claimed(task.id)
    await cf.ledger.cancel("acme", task.id)
    heard = await cf.ledger.renew_lease(record)
    await cf.ledger.finish(first.claim, Outcome("cancelled", error=FAILURE))
    await cf.ledger.replay("acme", task.id)
    second = await cf.claimed(task.id)
    await cf.ledger.cancel("acme", task.id)
    assert await cf.ledger.renew_lease(record, heard) == [second.claim.attempt]
    assert await cf.ledger.renew_lease(record, [second.claim.attempt]) == []


async def test_cancellation_outlives_a_hand_back(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    await cf.ledger.cancel("acme", task.id)
    for _ in range(2):  # the second because the answer was lost
        await cf.ledger.hand_back(claimed.claim)
    got = await cf.ledger.get("acme", task.id)
    assert (got.state, got.error and got.error.code) == (TaskState.CANCELLED, "cancelled")
    assert (await cf.ledger.snapshot()).outbox_entries == 1


async def test_replay_keeps_id_and_journal_under_a_new_fence(cf: LedgerEngine) -> None:
    task = await cf.submitted(max_attempts=1)
    claimed = await cf.claimed(task.id)
    await cf.ledger.record_step(claimed.claim, "s", b"1", None)
    await cf.ledger.finish(claimed.claim, Outcome("failed", error=FAILURE))
    assert await cf.ledger.replay("acme", task.id) is TaskState.QUEUED
    got = await cf.ledger.get("acme", task.id)
    assert (got.started_at, got.finished_at, got.progress, got.error) == (None, None, None, None)
    again = await cf.claimed(task.id)
    assert (again.claim.fence, again.task.attempts, dict(again.journal)) == (3, 1, {"s": b"1"})
    with pytest.raises(StateConflict):
        await cf.ledger.replay("acme", task.id)


async def test_delayed_task_is_queued_with_its_time(cf: LedgerEngine) -> None:
    task = await cf.submitted(delay_s=0.05)
    got = await cf.ledger.get("acme", task.id)
    assert got.state is TaskState.QUEUED
    assert got.not_before == got.created_at + 50
    assert await cf.messages("scrape") == []
    assert await cf.ledger.claim(task.id, await cf.worker(), "c") is None
    async with asyncio.timeout(PATIENCE_S):
        while not (await cf.reaper.reap()).promoted:
            pass
    assert (await cf.claimed(task.id)).task.not_before is None


async def test_paid_call_is_marked_under_the_current_claim_only(cf: LedgerEngine) -> None:
    task = await cf.submitted(max_attempts=3)
    old = await cf.claimed(task.id)
    assert await cf.ledger.begin_call(old.claim, "ask")
    assert await cf.ledger.begin_call(old.claim, "ask")  # the same attempt again is the answer that was lost
    await cf.ledger.hand_back(old.claim)
    with pytest.raises(StaleClaim):
        await cf.ledger.begin_call(old.claim, "ask")
    new = await cf.claimed(task.id)
    assert not await cf.ledger.begin_call(new.claim, "ask")
    assert (await cf.ledger.snapshot()).counters["calls_repeated:scrape"] == 1


async def test_strays_are_what_a_worker_holds_and_does_not_know_of(cf: LedgerEngine) -> None:
    tasks = [await cf.submitted() for _ in range(4)]
    claims = [
        (await cf.claimed(task.id, worker)).claim for task, worker in zip(tasks, ("w1", "w1", "w2", "w1"), strict=True)
    ]
    await cf.ledger.finish(claims[3], SUCCESS)
    assert await cf.ledger.strays("w1", [tasks[0].id]) == [claims[1]]
    assert await cf.ledger.strays("w3", []) == []
