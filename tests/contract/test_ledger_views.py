"""What the ledger shows: lists, events, depths."""

import pytest

from codeforge.errors import TaskNotFound
from codeforge.ledger.port import Outcome, TaskFilter
from codeforge.task import Progress, TaskFailure, TaskState
from codeforge.worker_types import WorkerType
from tests.contract.ledger_engines import LedgerEngine

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


async def test_events_tell_the_story_in_order_and_resume(cf: LedgerEngine) -> None:
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


async def test_snapshot_counts_live_workers_and_their_slots(cf: LedgerEngine) -> None:
    await cf.worker("w1")
    await cf.worker("w2")
    await cf.expire_lease("w2")
    depth = (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE]
    assert (depth.workers, depth.slots) == (1, 10)
    await cf.ledger.end_lease("w1")
    assert (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE].workers == 0
