"""What the ledger shows: lists, events, depths."""

import asyncio
from dataclasses import asdict

import pytest

from codeforge.errors import TaskNotFound
from codeforge.ledger.port import Outcome, TaskFilter, TaskPage
from codeforge.task import Progress, TaskFailure, TaskState
from codeforge.worker_types import WorkerType
from tests.contract.ledger_engines import FAILURE, SUCCESS, LedgerEngine, opened_ledger
from tests.factories import new_task
from tests.patience import PATIENCE_S
from tests.servers.valkey import ValkeyServer

pytestmark = pytest.mark.anyio


async def test_tenants_do_not_see_each_other(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    for call in (cf.ledger.get, cf.ledger.cancel, cf.ledger.replay):
        with pytest.raises(TaskNotFound):
            await call("rival", task.id)
    with pytest.raises(TaskNotFound):
        await cf.ledger.events("rival", task.id, "0", 0)
    assert (await cf.ledger.list("rival", TaskFilter(), 10, None)).tasks == []


async def test_list_is_newest_first_filtered_and_paged(cf: LedgerEngine) -> None:
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


async def test_a_page_that_holds_the_last_task_has_no_cursor(cf: LedgerEngine) -> None:
    ids = [(await cf.submitted()).id for _ in range(4)]
    first = await cf.ledger.list("acme", TaskFilter(), 2, None)
    assert ([task.id for task in first.tasks], first.next_cursor) == ([ids[3], ids[2]], ids[2])
    last = await cf.ledger.list("acme", TaskFilter(), 2, first.next_cursor)
    assert ([task.id for task in last.tasks], last.next_cursor) == ([ids[1], ids[0]], None)
    assert await cf.ledger.list("acme", TaskFilter(), 2, ids[0]) == TaskPage([], None)


async def test_a_sparse_filter_finds_all_that_it_matches(cf: LedgerEngine) -> None:
    ids = [(await cf.submitted()).id for _ in range(60)]
    wanted = [ids[2], ids[31], ids[58]]
    for task_id in wanted:
        await cf.ledger.cancel("acme", task_id)
    seen: list[str] = []
    cursor = None
    for _ in range(len(ids)):
        page = await cf.ledger.list("acme", TaskFilter(state=TaskState.CANCELLED), 1, cursor)
        seen += [task.id for task in page.tasks]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == wanted[::-1]


async def test_a_small_page_of_a_long_list_reads_a_few_rows(ledger_server: ValkeyServer) -> None:
    async with opened_ledger(ledger_server.url) as engine:

        async def rows_read() -> int:
            return int((await engine.redis.info("commandstats")).get("cmdstat_hmget", {}).get("calls", 0))

        await engine.ledger.submit([new_task() for _ in range(300)])
        before = await rows_read()
        assert len((await engine.ledger.list("acme", TaskFilter(), 2, None)).tasks) == 2
        assert await rows_read() - before == 3  # the third tells that there is a next page


async def test_events_tell_the_story_in_order_and_resume(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    await cf.ledger.progress(claimed.claim, Progress(1, 3, "one"))
    await cf.ledger.emit(claimed.claim, "note", b'{"empty":[]}')
    await cf.ledger.finish(claimed.claim, Outcome("failed", error=TaskFailure("x", 'a "quoted" word', False)))
    story = await cf.ledger.events("acme", task.id, "0", 0)
    assert [event.kind for event in story] == ["queued", "running", "progress", "note", "failed"]
    assert story[3].data == {"empty": []}
    assert story[4].data["error"] == {"code": "x", "message": 'a "quoted" word', "retryable": False}
    rest = await cf.ledger.events("acme", task.id, story[2].id, 0)
    assert [event.id for event in rest] == [event.id for event in story[3:]]
    assert await cf.ledger.events("acme", task.id, story[4].id, 10) == []


async def test_events_tell_whether_an_error_was_worth_another_attempt(cf: LedgerEngine) -> None:
    task = await cf.submitted(max_attempts=2)
    await cf.ledger.finish((await cf.claimed(task.id)).claim, Outcome("retry", error=FAILURE))
    async with asyncio.timeout(PATIENCE_S):
        while not (await cf.reaper.reap()).promoted:
            pass
    await cf.ledger.finish((await cf.claimed(task.id)).claim, Outcome("retry", error=FAILURE))
    errors = {event.kind: event.data.get("error") for event in await cf.ledger.events("acme", task.id, "0", 0)}
    assert errors["retry"] == errors["dead"] == asdict(FAILURE)


async def test_snapshot_counts_live_workers_and_their_slots(cf: LedgerEngine) -> None:
    await cf.worker("w1")
    await cf.worker("w2")
    await cf.expire_lease("w2")
    depth = (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE]
    assert (depth.workers, depth.slots) == (1, 10)
    await cf.ledger.end_lease("w1")
    assert (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE].workers == 0


async def test_reader_of_events_waits_for_the_next_one(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    (queued,) = await cf.ledger.events("acme", task.id, "0", 0)
    async with asyncio.timeout(PATIENCE_S):
        waiting = asyncio.create_task(cf.ledger.events("acme", task.id, queued.id, 8_000))
        await cf.ledger.cancel("acme", task.id)
        assert [event.kind for event in await waiting] == ["cancelled"]


async def test_page_may_end_exactly_at_its_limit(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    page = await cf.ledger.list("acme", TaskFilter(), 1, None)
    assert [found.id for found in page.tasks] == [task.id]
    assert (await cf.ledger.list("acme", TaskFilter(), 1, task.id)).tasks == []


async def test_waits_and_durations_are_counted_where_there_were_any(cf: LedgerEngine) -> None:
    ran, waited = await cf.submitted(), await cf.submitted()
    await cf.ledger.finish((await cf.claimed(ran.id)).claim, SUCCESS)
    claimed = await cf.claimed(waited.id)
    await cf.ledger.finish(claimed.claim, Outcome("retry", error=FAILURE, retry_delay_s=60))
    await cf.ledger.cancel("acme", waited.id)
    counters = (await cf.ledger.snapshot()).counters

    def observations(name: str) -> float:
        prefix = f"hist:{name}:scrape:"
        return sum(n for field, n in counters.items() if field.startswith(prefix) and field != prefix + "sum")

    assert (observations("wait"), observations("duration")) == (2, 1)
    assert counters["finished:scrape:cancelled"] == counters["attempts:scrape:retry"] == 1


async def test_oldest_queued_is_an_age_in_seconds(cf: LedgerEngine) -> None:
    assert (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE].oldest_queued_s == 0.0
    task = await cf.submitted()
    await cf.age_in_queue(task.id)
    assert (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE].oldest_queued_s > 1e9


async def test_added_counters_add_up(cf: LedgerEngine) -> None:
    for _ in range(2):
        await cf.ledger.add_counters({"store_errors:graph": 1, "hist:projection:graph:sum": 0.5})
    counters = (await cf.ledger.snapshot()).counters
    assert (counters["store_errors:graph"], counters["hist:projection:graph:sum"]) == (2, 1.0)
