"""The outbox as an operator sees it: its size and limit, its owners, its dead letters, and putting results back."""

import pytest

from codeforge.errors import OutboxFull
from codeforge.ledger import keys
from codeforge.ledger.outbox_port import DeadLetter, Requeued
from codeforge.ledger.port import Idempotency, OutboxEntry, Outcome
from codeforge.task import NewTask, TaskState
from tests.contract.ledger_engines import FAILURE, OUTBOX_MAX_BYTES, RETENTION, SUCCESS, LedgerEngine
from tests.factories import new_task

pytestmark = pytest.mark.anyio

LARGE = Outcome("succeeded", result=b'"' + b"x" * OUTBOX_MAX_BYTES + b'"')
FAILED = Outcome("failed", error=FAILURE)


async def ended(cf: LedgerEngine, outcome: Outcome = SUCCESS, **fields: object) -> NewTask:
    """A task that ran to its end and awaits its projection."""
    task = await cf.submitted(**fields)
    await cf.ledger.finish((await cf.claimed(task.id)).claim, outcome)
    return task


async def waiting(cf: LedgerEngine) -> list[OutboxEntry]:
    return list(await cf.outbox.read([0, 1], 1_000, 1 << 30))


async def counted(cf: LedgerEngine) -> int:
    """The outbox's bytes, as the operator and the metrics see them."""
    held, snapshot = (await cf.keeper.state()).bytes, await cf.ledger.snapshot()
    assert snapshot.outbox_bytes == held
    return held


def size(task: NewTask, outcome: Outcome = SUCCESS) -> int:
    return len(task.input) + len(outcome.result or b"")


async def rejected(cf: LedgerEngine, *, reason: str = "graph: refused") -> DeadLetter:
    """The letter of a task that a store refused."""
    task = await ended(cf, FAILED)
    await cf.outbox.settle(await waiting(cf), {task.id: reason})
    (letter,) = [letter for letter in await cf.keeper.letters_after("", 100) if letter.task_id == task.id]
    return letter


async def test_bytes_of_waiting_results_are_counted_and_leave_with_them(cf: LedgerEngine) -> None:
    first, second = await ended(cf), await ended(cf, FAILED)
    assert await counted(cf) == size(first) + size(second, FAILED)
    entries = await waiting(cf)
    await cf.outbox.settle(entries[:1], {})
    assert await counted(cf) == size(second, FAILED)
    await cf.outbox.settle(entries[:1], {})  # once more, for the answer was lost
    assert await counted(cf) == size(second, FAILED)
    await cf.outbox.settle(entries[1:], {second.id: "graph: refused"})
    assert await counted(cf) == 0


async def test_a_replayed_task_counts_once_and_its_old_entry_nothing(cf: LedgerEngine) -> None:
    task = await ended(cf, FAILED)
    await cf.ledger.replay("acme", task.id)
    assert await counted(cf) == 0
    await cf.ledger.finish((await cf.claimed(task.id)).claim, SUCCESS)
    assert await counted(cf) == size(task)
    old, new = await waiting(cf)
    await cf.outbox.settle([old], {})
    assert await counted(cf) == size(task)
    await cf.outbox.settle([new], {})
    assert await counted(cf) == 0


async def test_an_entry_whose_row_is_gone_stops_counting_when_it_is_settled(cf: LedgerEngine) -> None:
    task = await ended(cf)
    await cf.expire_task(task.id)
    await cf.outbox.settle(await waiting(cf), {})
    assert await counted(cf) == 0


async def test_past_the_limit_nothing_is_accepted_and_what_runs_still_finishes(cf: LedgerEngine) -> None:
    running = await cf.claimed((await cf.submitted()).id)
    accepted = new_task()
    await cf.ledger.submit([accepted], Idempotency("key", "hash"))
    await ended(cf, LARGE)
    with pytest.raises(OutboxFull):
        await cf.ledger.submit([new_task(), new_task()])
    assert len(await cf.messages("scrape")) == 3
    # What was accepted before is answered again: the client would submit it twice otherwise.
    assert (await cf.ledger.submit([accepted])).ids == [accepted.id]
    assert (await cf.ledger.submit([new_task()], Idempotency("key", "hash"))).ids == [accepted.id]
    await cf.ledger.finish(running.claim, SUCCESS)
    await cf.outbox.settle(await waiting(cf), {})
    await cf.submitted()


async def test_partitions_are_shared_fairly_by_the_live_projectors(cf: LedgerEngine) -> None:
    assert await cf.outbox.acquire("p1", 30) == [0, 1]
    assert await cf.outbox.acquire("p2", 30) == []  # what p1 has in work stays its
    await cf.outbox.renew("p1", 30)
    assert await cf.outbox.acquire("p2", 30) == []
    (kept,) = await cf.outbox.acquire("p1", 30)
    assert await cf.outbox.acquire("p2", 30) == [1 - kept]
    assert await cf.outbox.acquire("p1", 30) == [kept]
    assert await cf.outbox.acquire("p3", 30) == []
    owners = {partition.number: partition.owner for partition in (await cf.keeper.state()).partitions}
    assert owners == {kept: "p1", 1 - kept: "p2"}
    await cf.outbox.release("p1")
    await cf.outbox.release("p3")
    assert await cf.outbox.acquire("p2", 30) == [0, 1]


async def test_state_tells_depths_and_ages(cf: LedgerEngine) -> None:
    assert [(p.entries, p.oldest_s, p.owner) for p in (await cf.keeper.state()).partitions] == [(0, 0.0, None)] * 2
    for _ in range(5):
        await ended(cf)
    state = await cf.keeper.state()
    assert (state.entries, state.dead_letters) == (5, 0)
    assert all(0 <= partition.oldest_s < 60 for partition in state.partitions)


async def test_dead_letters_are_read_in_pages_with_reason_and_time(cf: LedgerEngine) -> None:
    letters = [await rejected(cf, reason=f"vectors: {number}") for number in range(3)]
    assert [letter.reason for letter in letters] == ["vectors: 0", "vectors: 1", "vectors: 2"]
    assert await cf.keeper.letters_after("", 2) == letters[:2]
    assert await cf.keeper.letters_after(letters[1].id, 2) == letters[2:]
    task = await cf.ledger.get("acme", letters[0].task_id)
    assert 0 <= letters[0].at - (task.finished_at or 0) < 60_000
    assert letters[0].fence == task.fence
    assert (await cf.ledger.snapshot()).outbox_dead == (await cf.keeper.state()).dead_letters == 3


async def test_a_retried_letter_is_projected_again(cf: LedgerEngine) -> None:
    letter = await rejected(cf)
    assert await cf.keeper.retry([letter]) == [Requeued.QUEUED]
    assert await cf.dead_letters() == {}
    (entry,) = await waiting(cf)
    assert entry.task is not None
    assert (entry.task_id, entry.fence) == (letter.task_id, letter.fence)
    assert await counted(cf) == len(entry.task.input)
    assert await cf.keeper.retry([letter]) == [Requeued.WAITING]
    await cf.outbox.settle([entry], {})
    assert (await cf.ledger.get("acme", letter.task_id)).stored
    assert await cf.keeper.retry([letter]) == [Requeued.STORED]
    assert await waiting(cf) == []


async def test_a_letter_whose_task_moved_on_is_dropped(cf: LedgerEngine) -> None:
    replayed, again, gone = [await rejected(cf) for _ in range(3)]
    await cf.ledger.replay("acme", replayed.task_id)
    await cf.ledger.replay("acme", again.task_id)
    await cf.ledger.finish((await cf.claimed(again.task_id)).claim, SUCCESS)
    await cf.expire_task(gone.task_id)
    words = await cf.keeper.retry([replayed, again, gone])
    assert words == [Requeued.MOVED_ON, Requeued.MOVED_ON, Requeued.GONE]
    assert await cf.dead_letters() == {}
    (entry,) = await waiting(cf)  # that of the newer outcome
    assert entry.fence > again.fence


async def test_a_task_whose_letter_is_one_too_many_expires(cf: LedgerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "MAX_LETTERS", 2)
    task = new_task()
    await cf.ledger.submit([task], Idempotency("k", "hash"))
    await cf.ledger.finish((await cf.claimed(task.id)).claim, FAILED)
    await cf.outbox.settle(await waiting(cf), {task.id: "graph: refused"})
    younger = [await rejected(cf)]
    assert await cf.retained(task.id)
    younger.append(await rejected(cf))
    assert await cf.keeper.letters_after("", 10) == younger
    assert await cf.kept_s(task.id) == pytest.approx(RETENTION.of(TaskState.FAILED), abs=20)
    assert await cf.key_kept_s("k") == pytest.approx(RETENTION.of(TaskState.FAILED), abs=20)
    assert not (await cf.ledger.get("acme", task.id)).stored
    assert [await cf.retained(letter.task_id) for letter in younger] == [True, True]
    assert [step.added async for step in cf.keeper.refill()] == [3]  # a rebuild finds it while it lasts
    assert await cf.retained(task.id)


async def test_a_task_outlives_a_letter_that_is_not_its_last_word(
    cf: LedgerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, again, replayed = [await rejected(cf) for _ in range(3)]
    await cf.ledger.replay("acme", replayed.task_id)
    assert [step.added async for step in cf.keeper.refill()] == [2]
    entries = [entry for entry in await waiting(cf) if entry.task_id == again.task_id]
    await cf.outbox.settle(entries, {again.task_id: "graph: refused again"})
    monkeypatch.setattr(keys, "MAX_LETTERS", 2)
    youngest = await rejected_alone(cf)
    assert [letter.task_id for letter in await cf.keeper.letters_after("", 10)] == [again.task_id, youngest]
    assert [await cf.retained(letter.task_id) for letter in (waits, again, replayed)] == [True] * 3


async def rejected_alone(cf: LedgerEngine) -> str:
    """A task that a store refused, whatever else waits."""
    task = await ended(cf, FAILED)
    entries = [entry for entry in await waiting(cf) if entry.task_id == task.id]
    await cf.outbox.settle(entries, {task.id: "graph: refused"})
    return task.id


async def test_a_refill_adds_every_finished_task_of_every_tenant_once(cf: LedgerEngine) -> None:
    stored, rival = await ended(cf), await ended(cf, FAILED, tenant="rival")
    await cf.outbox.settle(await waiting(cf), {})
    unsettled, _queued, running = await ended(cf), await cf.submitted(), await cf.submitted()
    await cf.claimed(running.id)
    steps = [step async for step in cf.keeper.refill()]
    assert (steps[-1].seen, steps[-1].total, steps[-1].added) == (5, 5, 2)
    assert {entry.task_id for entry in await waiting(cf)} == {stored.id, rival.id, unsettled.id}
    assert not (await cf.ledger.get("acme", stored.id)).stored
    assert await cf.retained(stored.id)  # it must not expire before it is stored again
    assert await counted(cf) == size(stored) + size(rival, FAILED) + size(unsettled)
    assert [step.added async for step in cf.keeper.refill()][-1] == 0
    await cf.outbox.settle(await waiting(cf), {})
    assert (await cf.ledger.get("rival", rival.id)).stored
    assert not await cf.retained(stored.id)


async def test_a_refill_takes_several_steps(cf: LedgerEngine) -> None:
    await cf.ledger.submit([new_task() for _ in range(700)])
    assert [(step.seen, step.added) async for step in cf.keeper.refill()] == [(500, 0), (700, 0)]


async def test_an_older_outcome_never_follows_a_newer_one(cf: LedgerEngine) -> None:
    """Entries of one task lie in one partition, in the order of their fences, and only the last comes with a task."""
    task = await ended(cf, FAILED)
    for _ in range(3):
        await cf.ledger.replay("acme", task.id)
        await cf.ledger.finish((await cf.claimed(task.id)).claim, FAILED)
    entries = await waiting(cf)
    fences = [entry.fence for entry in entries]
    assert len({entry.partition for entry in entries}) == 1
    assert fences == sorted(set(fences))
    assert [entry.task is not None for entry in entries] == [False, False, False, True]
    # A projector that read the older outcome before, and comes late, marks nothing.
    await cf.outbox.settle(entries[:3], {task.id: "graph: refused"})
    assert await cf.dead_letters() == {}
    assert not (await cf.ledger.get("acme", task.id)).stored
