"""The projector's side of the ledger: the outbox."""

import asyncio

import pytest

from codeforge.ledger.port import Idempotency, OutboxEntry, Outcome
from codeforge.task import ModelCall
from tests.contract.ledger_engines import FAILURE, SUCCESS, LedgerEngine
from tests.factories import new_task
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.anyio


async def test_outbox_is_read_by_its_one_owner_and_settled(cf: LedgerEngine) -> None:
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
    assert [await cf.retained(task.id) for task in done[:2]] == [True, False]
    assert await cf.dead_letters() == {done[0].id: "no store takes it"}
    await cf.outbox.release("p1")
    assert await cf.outbox.acquire("p2", 30) == [0, 1]


async def test_entry_of_a_replayed_task_is_not_projected(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    await cf.ledger.finish((await cf.claimed(task.id)).claim, Outcome("failed", error=FAILURE))
    await cf.ledger.replay("acme", task.id)
    (entry,) = await cf.outbox.read([0, 1], 10, 1 << 20)
    assert entry.task is None
    await cf.outbox.settle([entry], {})
    assert not (await cf.ledger.get("acme", task.id)).stored


async def test_oldest_entries_come_first_whatever_their_partition(cf: LedgerEngine) -> None:
    tasks = [await cf.submitted() for _ in range(8)]
    for task in tasks:
        await cf.ledger.cancel("acme", task.id)
    entries = await cf.outbox.read([0, 1], 8, 1 << 20)
    # By the entries' own ids: a server may stamp them a millisecond apart from the task's finished_at.
    ids = [tuple(int(part) for part in entry.entry_id.split("-")) for entry in entries]
    assert len(ids) == 8
    assert [moment for moment, _ in ids] == sorted(moment for moment, _ in ids)
    first = await cf.outbox.read([0, 1], 3, 1 << 20)
    assert first == entries[:3]
    # And the next ones behind them, while those are still there
    assert await cf.outbox.read([0, 1], 3, 1 << 20, behind=first) == entries[3:6]
    assert await cf.outbox.read([0, 1], 3, 1 << 20, behind=entries) == []


async def test_entries_of_one_moment_come_in_one_order_however_they_are_read(cf: LedgerEngine) -> None:
    tasks = [await cf.submitted() for _ in range(40)]
    await asyncio.gather(*(cf.ledger.cancel("acme", task.id) for task in tasks))
    entries = await cf.outbox.read([0, 1], 100, 1 << 20)
    # A server's streams number the entries of a millisecond each by itself: of these some have the same id.
    assert len(entries) == len(tasks)
    for count in range(1, len(tasks)):
        assert await cf.outbox.read([0, 1], count, 1 << 20) == entries[:count]
    assert await cf.outbox.read([1, 0], 100, 1 << 20) == entries


async def test_oldest_entries_come_first_however_unevenly_the_partitions_fill(cf: LedgerEngine) -> None:
    tasks = [await cf.submitted() for _ in range(24)]
    for task in sorted(tasks, key=lambda task: int(task.id[-4:], 16) % 2):
        await cf.ledger.cancel("acme", task.id)
    entries = await cf.outbox.read([0, 1], 100, 1 << 20)
    found: list[OutboxEntry] = []
    while batch := await cf.outbox.read([0, 1], 5, 1 << 20, behind=found):
        assert len(batch) == min(5, len(tasks) - len(found))
        found += batch
    assert found == entries


async def test_entry_whose_task_expired_is_settled_without_it(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    await cf.ledger.cancel("acme", task.id)
    await cf.expire_task(task.id)
    (entry,) = await cf.outbox.read([0, 1], 5, 1 << 20)
    assert (entry.task_id, entry.task) == (task.id, None)
    await cf.outbox.settle([entry], {task.id: "a reason"})
    assert await cf.outbox.read([0, 1], 5, 1 << 20) == []
    assert await cf.dead_letters() == {}


async def test_wait_ends_with_an_entry_or_with_its_time(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    await cf.outbox.wait([0, 1], 0.01)
    async with asyncio.timeout(PATIENCE_S):
        waiting = asyncio.create_task(cf.outbox.wait([0, 1], 20))
        await cf.ledger.cancel("acme", task.id)
        await waiting


async def ended(cf: LedgerEngine, task_id: str, outcome: Outcome = SUCCESS) -> None:
    """The task has run and is stored."""
    await cf.ledger.finish((await cf.claimed(task_id)).claim, outcome)
    await cf.outbox.settle(await cf.outbox.read(await cf.outbox.acquire("p1", 30), 100, 1 << 20), {})


async def test_task_is_kept_for_as_long_as_its_final_state_is(cf: LedgerEngine) -> None:
    good, bad = await cf.submitted(), await cf.submitted()
    await ended(cf, good.id)
    await ended(cf, bad.id, Outcome("failed", error=FAILURE))
    kept = [await cf.kept_s(task.id) for task in (good, bad)]
    assert kept == [pytest.approx(600, abs=20), pytest.approx(1_200, abs=20)]


async def test_idempotency_key_lasts_until_the_last_of_its_tasks_may_go(cf: LedgerEngine) -> None:
    tasks = [new_task(), new_task(delay_s=86_400)]
    made = await cf.ledger.submit(tasks, Idempotency("k", "hash"))
    await ended(cf, tasks[0].id)
    assert await cf.key_kept_s("k") is None
    await cf.ledger.cancel("acme", tasks[1].id)
    await cf.outbox.settle(await cf.outbox.read([0, 1], 100, 1 << 20), {})
    assert await cf.key_kept_s("k") == pytest.approx(600, abs=20)
    await cf.ledger.replay("acme", tasks[1].id)
    assert await cf.key_kept_s("k") is None
    await ended(cf, tasks[1].id, Outcome("failed", error=FAILURE))
    assert await cf.key_kept_s("k") == pytest.approx(1_200, abs=20)
    again = await cf.ledger.submit([new_task(), new_task()], Idempotency("k", "hash"))
    assert (again.ids, again.created_at, again.replayed) == (made.ids, made.created_at, True)


async def test_idempotency_key_lasts_as_long_as_the_task_that_is_kept_longest(cf: LedgerEngine) -> None:
    tasks = [new_task(), new_task()]
    await cf.ledger.submit(tasks, Idempotency("k", "hash"))
    await ended(cf, tasks[0].id, Outcome("failed", error=FAILURE))
    await ended(cf, tasks[1].id)
    assert await cf.key_kept_s("k") == pytest.approx(1_200, abs=20)
    async for _ in cf.keeper.refill():
        assert await cf.key_kept_s("k") is None
    await cf.outbox.settle(await cf.outbox.read([0, 1], 100, 1 << 20), {})
    assert await cf.key_kept_s("k") == pytest.approx(1_200, abs=20)


async def test_journal_goes_with_success_and_stays_for_a_replay(cf: LedgerEngine) -> None:
    good, bad = await cf.submitted(), await cf.submitted()
    for task, outcome in ((good, SUCCESS), (bad, Outcome("failed", error=FAILURE))):
        claimed = await cf.claimed(task.id)
        await cf.ledger.record_step(claimed.claim, "s", b"1", None)
        await cf.ledger.finish(claimed.claim, outcome)
    await cf.outbox.settle(await cf.outbox.read(await cf.outbox.acquire("p1", 30), 100, 1 << 20), {})
    assert await cf.journaled(good.id) == {}
    await cf.ledger.replay("acme", bad.id)
    assert (await cf.claimed(bad.id)).journal == {"s": b"1"}
