"""The ledger's transitions on a real engine: what a client, a worker and an operator would see."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from codeforge.errors import IdempotencyConflict, InvalidInput, LedgerUnavailable, StaleClaim, StateConflict, TaskNotFound
from codeforge.identity import new_task_id
from codeforge.ledger.port import Idempotency, Outcome, TaskFilter, WorkerRecord
from codeforge.task import ModelCall, Progress, TaskFailure, TaskState, Usage
from codeforge.worker_types import Priority, WorkerType
from tests.contract.ledger_engines import Engine, engine
from tests.factories import new_task
from tests.servers.valkey import ValkeyServer

pytestmark = pytest.mark.anyio

SUCCESS = Outcome("succeeded", result=b'{"pages":[],"failed":[]}')
FAILURE = TaskFailure("model_unavailable", "it said 503", retryable=True)


@pytest.fixture
async def cf(ledger_server: ValkeyServer) -> AsyncIterator[Engine]:
    async with engine(ledger_server.url) as made:
        yield made


async def test_submitted_task_is_a_row_a_place_and_a_message(cf: Engine) -> None:
    task = await cf.submitted()
    got = await cf.ledger.get("acme", task.id)
    assert (got.state, got.attempts, got.fence, got.stored) == (TaskState.QUEUED, 0, 0, False)
    assert got.input == task.input  # byte for byte: an empty list stays one
    snapshot = await cf.ledger.snapshot()
    assert snapshot.depths[WorkerType.SCRAPE].queued == 1
    assert [orjson.loads(text) for text in await cf.messages("scrape")] == [{"celery_id": task.id, "task": task.id}]


async def test_priorities_have_their_own_queues(cf: Engine) -> None:
    high = await cf.submitted(priority=Priority.HIGH)
    assert high.id.encode() in (await cf.messages("scrape.high"))[0]
    assert await cf.messages("scrape") == []


async def test_same_submission_twice_is_one_task(cf: Engine) -> None:
    task = new_task()
    assert (await cf.ledger.submit([task])).ids == (await cf.ledger.submit([task])).ids
    assert len(await cf.messages("scrape")) == 1


async def test_idempotency_key_answers_the_first_tasks_again(cf: Engine) -> None:
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


async def test_unknown_parent_enqueues_nothing(cf: Engine) -> None:
    rival = await cf.submitted(tenant="rival")
    with pytest.raises(InvalidInput) as caught:
        await cf.ledger.submit([new_task(), new_task(parent_id=rival.id)])
    assert caught.value.field == "parent_id"
    assert len(await cf.messages("scrape")) == 1


async def test_thousand_tasks_at_once(cf: Engine) -> None:
    tasks = [new_task() for _ in range(1000)]
    assert (await cf.ledger.submit(tasks, Idempotency("batch", "h"))).ids == [task.id for task in tasks]
    replayed = await cf.ledger.submit([new_task() for _ in range(1000)], Idempotency("batch", "h"))
    assert replayed.ids == [task.id for task in tasks]


async def test_tenants_do_not_see_each_other(cf: Engine) -> None:
    task = await cf.submitted()
    for call in (cf.ledger.get, cf.ledger.cancel, cf.ledger.replay):
        with pytest.raises(TaskNotFound):
            await call("rival", task.id)
    with pytest.raises(TaskNotFound):
        await cf.ledger.events("rival", task.id, "0", 0)
    assert (await cf.ledger.list("rival", TaskFilter(), 10, None)).tasks == []


async def test_claim_gives_a_growing_fence_and_only_once(cf: Engine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    assert (claimed.task.state, claimed.task.attempts, claimed.claim.fence) == (TaskState.RUNNING, 1, 1)
    assert await cf.ledger.claim(task.id, await cf.worker("w2"), "another") is None
    assert await cf.ledger.claim(new_task_id(), "w2", "another") is None
    await cf.ledger.hand_back(claimed.claim)
    assert (await cf.claimed(task.id, "w2")).claim.fence == 2


async def test_repeated_claim_after_a_lost_answer_is_the_same_claim(cf: Engine) -> None:
    task = await cf.submitted()
    worker = await cf.worker()
    first = await cf.ledger.claim(task.id, worker, "claim")
    assert first is not None
    assert await cf.ledger.claim(task.id, worker, "claim") == first


async def test_claim_needs_a_live_lease(cf: Engine) -> None:
    task = await cf.submitted()
    with pytest.raises(StaleClaim):
        await cf.ledger.claim(task.id, "nobody", "c")
    await cf.expire_lease(await cf.worker())
    with pytest.raises(StaleClaim):
        await cf.ledger.claim(task.id, "w1", "c")


async def test_success_sets_result_state_outbox_and_counters_in_one_step(cf: Engine) -> None:
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


async def test_stale_claim_can_write_nothing(cf: Engine) -> None:
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


async def test_equal_fence_with_another_claim_id_is_stale(cf: Engine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    await cf.redis.hset(f"cf:task:{task.id}", "claim", "of a restored ledger")
    with pytest.raises(StaleClaim):
        await cf.ledger.finish(claimed.claim, SUCCESS)


async def test_steps_are_journaled_once_with_their_cost(cf: Engine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    call = ModelCall("plan", "m", 10, 5, 0.25, 100)
    await cf.ledger.record_step(claimed.claim, "plan", b'"first"', call)
    await cf.ledger.record_step(claimed.claim, "plan", b'"again"', call)
    assert (await cf.ledger.get("acme", task.id)).usage == Usage(10, 5, 0.25)
    await cf.ledger.hand_back(claimed.claim)
    assert (await cf.claimed(task.id)).journal == {"plan": b'"first"'}
    assert (await cf.ledger.snapshot()).counters["llm_tokens:m:input"] == 10


async def test_retry_waits_then_runs_and_ends_dead(cf: Engine) -> None:
    task = await cf.submitted(max_attempts=2)
    retry = Outcome("retry", error=FAILURE, retry_delay_s=0.05)
    assert await cf.ledger.finish((await cf.claimed(task.id)).claim, retry) is TaskState.QUEUED
    got = await cf.ledger.get("acme", task.id)
    assert got.not_before is not None
    assert got.error == FAILURE
    assert (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE].delayed == 1
    async with asyncio.timeout(5):
        while not (await cf.reaper.reap()).promoted:
            pass
    assert f"{task.id}:r1".encode() in (await cf.messages("scrape"))[-1]
    assert await cf.ledger.finish((await cf.claimed(task.id)).claim, retry) is TaskState.DEAD
    assert (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE].dead == 1


async def test_hand_back_costs_no_attempt_and_rings(cf: Engine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    await cf.ledger.hand_back(claimed.claim)
    got = await cf.ledger.get("acme", task.id)
    assert (got.state, got.attempts) == (TaskState.QUEUED, 0)
    assert len(await cf.messages("scrape")) == 2


async def test_cancel_of_a_queued_task_is_at_once(cf: Engine) -> None:
    task = await cf.submitted()
    assert await cf.ledger.cancel("acme", task.id) is TaskState.CANCELLED
    assert await cf.ledger.claim(task.id, await cf.worker(), "c") is None
    with pytest.raises(StateConflict):
        await cf.ledger.cancel("acme", task.id)


async def test_cancel_of_a_running_task_reaches_its_worker(cf: Engine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    assert await cf.ledger.cancel("acme", task.id) is TaskState.RUNNING
    record = WorkerRecord("w1", [WorkerType.SCRAPE], 10)
    assert await cf.ledger.renew_lease(record) == [task.id]
    assert await cf.ledger.renew_lease(record) == []
    assert await cf.ledger.finish(claimed.claim, Outcome("retry", error=FAILURE)) is TaskState.CANCELLED


async def test_replay_keeps_id_fence_and_journal(cf: Engine) -> None:
    task = await cf.submitted(max_attempts=1)
    claimed = await cf.claimed(task.id)
    await cf.ledger.record_step(claimed.claim, "s", b"1", None)
    await cf.ledger.finish(claimed.claim, Outcome("failed", error=FAILURE))
    assert await cf.ledger.replay("acme", task.id) is TaskState.QUEUED
    again = await cf.claimed(task.id)
    assert (again.claim.fence, again.task.attempts, dict(again.journal)) == (2, 1, {"s": b"1"})
    with pytest.raises(StateConflict):
        await cf.ledger.replay("acme", task.id)


async def test_tasks_of_a_dead_worker_are_taken_back_or_dead(cf: Engine) -> None:
    fresh, last = await cf.submitted(max_attempts=2), await cf.submitted(max_attempts=1)
    await cf.claimed(fresh.id)
    await cf.claimed(last.id)
    assert (await cf.reaper.reap()).taken_back == 0  # the lease still holds
    await cf.expire_lease("w1")
    report = await cf.reaper.reap()
    assert (report.taken_back, report.dead) == (1, 1)
    assert (await cf.ledger.get("acme", fresh.id)).state is TaskState.QUEUED
    dead = await cf.ledger.get("acme", last.id)
    assert (dead.state, dead.error and dead.error.code) == (TaskState.DEAD, "worker_lost")


async def test_lost_messages_are_rung_again_and_present_ones_are_not(cf: Engine) -> None:
    tasks = [await cf.submitted() for _ in range(5)]
    for task in tasks:  # all have waited longer than the grace
        await cf.redis.hset(f"cf:task:{task.id}", "rung_at", 1)
        await cf.redis.zadd("cf:queued:scrape", {task.id: 1})
    assert (await cf.reaper.reap()).rung == 0
    await cf.redis.delete("scrape")
    assert (await cf.reaper.reap()).rung == 5
    assert (await cf.reaper.reap()).rung == 0
    ids = {orjson.loads(text)["task"] for text in await cf.messages("scrape")}
    assert ids == {task.id for task in tasks}


async def test_overdue_task_ends_as_timeout_without_its_worker(cf: Engine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    await cf.redis.zadd("cf:running:scrape", {task.id: 1})
    assert (await cf.reaper.reap()).timed_out == 1
    got = await cf.ledger.get("acme", task.id)
    assert (got.state, got.error and got.error.code) == (TaskState.FAILED, "timeout")
    with pytest.raises(StaleClaim):
        await cf.ledger.finish(claimed.claim, SUCCESS)


async def test_delayed_task_is_queued_with_its_time(cf: Engine) -> None:
    task = await cf.submitted(delay_s=0.05)
    got = await cf.ledger.get("acme", task.id)
    assert got.state is TaskState.QUEUED
    assert got.not_before == got.created_at + 50
    assert await cf.messages("scrape") == []
    assert await cf.ledger.claim(task.id, await cf.worker(), "c") is None
    async with asyncio.timeout(5):
        while not (await cf.reaper.reap()).promoted:
            pass
    assert (await cf.claimed(task.id)).task.not_before is None


async def test_list_is_newest_first_filtered_and_paged(cf: Engine) -> None:
    ids = [(await cf.submitted(labels=b'{"n":"%d"}' % (n % 2))).id for n in range(7)]
    await cf.ledger.cancel("acme", ids[3])
    seen: list[str] = []
    cursor = None
    while True:
        page = await cf.ledger.list("acme", TaskFilter(), 3, cursor)
        seen += [task.id for task in page.tasks]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == ids[::-1]
    one = await cf.ledger.list("acme", TaskFilter(labels=[("n", "1")], state=TaskState.QUEUED), 10, None)
    assert [task.id for task in one.tasks] == [ids[5], ids[1]]


async def test_events_tell_the_story_in_order_and_resume(cf: Engine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    await cf.ledger.progress(claimed.claim, Progress(1, 3, "one"))
    await cf.ledger.emit(claimed.claim, "note", b'{"empty":[]}')
    await cf.ledger.finish(claimed.claim, Outcome("failed", error=TaskFailure("x", 'a "quoted" word', False)))
    story = await cf.ledger.events("acme", task.id, "0", 0)
    assert [event.kind for event in story] == ["queued", "running", "progress", "note", "failed"]
    assert story[3].data == {"empty": []}
    assert story[4].data["error"] == {"code": "x", "message": 'a "quoted" word'}
    rest = await cf.ledger.events("acme", task.id, story[2].id, 0)
    assert [event.id for event in rest] == [event.id for event in story[3:]]
    assert await cf.ledger.events("acme", task.id, story[4].id, 10) == []


async def test_outbox_is_read_by_its_one_owner_and_settled(cf: Engine) -> None:
    done = [await cf.submitted() for _ in range(6)]
    for task in done:
        claimed = await cf.claimed(task.id)
        await cf.ledger.record_step(claimed.claim, "c", b"1", ModelCall("c", "m", 1, 2, 0.5, 3))
        await cf.ledger.finish(claimed.claim, SUCCESS)
    assert await cf.outbox.acquire("p1", 30) == [0, 1]
    assert await cf.outbox.acquire("p2", 30) == []
    await cf.outbox.wait([0, 1], 5)
    entries = await cf.outbox.read([0, 1], 100, 1 << 20)
    assert {entry.task_id for entry in entries} == {task.id for task in done}
    assert all(entry.task and entry.task.result == SUCCESS.result and entry.calls[0].usd == 0.5 for entry in entries)
    assert len(await cf.outbox.read([0, 1], 100, 1)) == 1
    await cf.outbox.settle(entries, {done[0].id: "no store takes it"})
    assert await cf.outbox.read([0, 1], 100, 1 << 20) == []
    stored = {task.id: (await cf.ledger.get("acme", task.id)).stored for task in done}
    assert stored == {task.id: task is not done[0] for task in done}
    assert await cf.redis.ttl(f"cf:task:{done[1].id}") > 0
    await cf.outbox.release("p1")
    assert await cf.outbox.acquire("p2", 30) == [0, 1]


async def test_entry_of_a_replayed_task_is_not_projected(cf: Engine) -> None:
    task = await cf.submitted()
    await cf.ledger.finish((await cf.claimed(task.id)).claim, Outcome("failed", error=FAILURE))
    await cf.ledger.replay("acme", task.id)
    (entry,) = await cf.outbox.read([0, 1], 10, 1 << 20)
    assert entry.task is None
    await cf.outbox.settle([entry], {})
    assert not (await cf.ledger.get("acme", task.id)).stored


async def test_one_reaper_leads(cf: Engine) -> None:
    assert await cf.reaper.lead("a", 30)
    assert await cf.reaper.lead("a", 30)
    assert not await cf.reaper.lead("b", 30)
    await cf.reaper.step_down("a")
    assert await cf.reaper.lead("b", 30)


async def test_index_forgets_tasks_that_expired(cf: Engine) -> None:
    gone, kept = await cf.submitted(), await cf.submitted()
    await cf.redis.delete(f"cf:task:{gone.id}")
    assert await cf.reaper.forget() == 1
    assert [task.id for task in (await cf.ledger.list("acme", TaskFilter(), 10, None)).tasks] == [kept.id]


async def test_snapshot_counts_live_workers_and_their_slots(cf: Engine) -> None:
    await cf.worker("w1")
    await cf.worker("w2")
    await cf.expire_lease("w2")
    depth = (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE]
    assert (depth.workers, depth.slots) == (1, 10)
    await cf.ledger.end_lease("w1")
    assert (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE].workers == 0


async def test_full_memory_refuses_submissions_and_lets_work_end(cf: Engine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    await cf.redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(LedgerUnavailable, match="memory"):
            await cf.submitted()
        assert await cf.ledger.finish(claimed.claim, SUCCESS) is TaskState.SUCCEEDED
    finally:
        await cf.redis.config_set("maxmemory", 0)


async def test_unreachable_server_is_an_error_in_time() -> None:
    async with asyncio.timeout(20), engine("redis://127.0.0.1:1/0") as cf:
        with pytest.raises(LedgerUnavailable):
            await cf.ledger.snapshot()


async def test_lost_scripts_and_connections_are_survived(cf: Engine, ledger_server: ValkeyServer) -> None:
    task = await cf.submitted()
    ledger_server.restart()
    claimed = await cf.claimed(task.id)
    assert await cf.ledger.finish(claimed.claim, SUCCESS) is TaskState.SUCCEEDED
