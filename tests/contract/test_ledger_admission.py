"""Caps: what runs at once, what each tenant may have running and waiting, and that nobody waits longer than needed."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from codeforge.errors import TenantQueueFull
from codeforge.ledger.admission import NO_CAPS, Caps, TenantCaps
from codeforge.ledger.memory.state import Message
from codeforge.ledger.port import Idempotency, Outcome
from codeforge.task import NewTask, TaskState
from codeforge.worker_types import Priority, WorkerType
from tests.contract.ledger_engines import FAILURE, SUCCESS, LedgerEngine
from tests.factories import new_task

pytestmark = pytest.mark.anyio

RETRY = Outcome("retry", error=FAILURE, retry_delay_s=3_600)


async def rung(cf: LedgerEngine, queue: str = "scrape") -> list[str]:
    """The tasks that the broker's queue names, in order."""
    return [message.task_id for message in await cf.messages(queue)]


async def test_no_more_agents_run_than_the_deployment_may_have(cf: LedgerEngine) -> None:
    await cf.cap(Caps(agents=2))
    tasks = [await cf.submitted(tenant=f"t{number}") for number in range(4)]
    assert await rung(cf) == [task.id for task in tasks[:2]]
    depth = (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE]
    assert (depth.queued, depth.held, depth.held_by_tenant) == (2, 2, 0)
    assert (await cf.ledger.get("t3", tasks[3].id)).state is TaskState.QUEUED
    first, second = [await cf.claimed(task.id) for task in tasks[:2]]
    assert await cf.ledger.claim(tasks[2].id, "w1", "a stray ring's") is None
    await cf.ledger.finish(first.claim, SUCCESS)
    assert await cf.messages("scrape") == [Message(task.id, task.id) for task in tasks[:3]]
    await cf.ledger.finish(second.claim, SUCCESS)
    assert await rung(cf) == [task.id for task in tasks]
    assert (await cf.ledger.snapshot()).counters["hist:held:scrape:sum"] >= 0


async def test_claim_over_the_cap_costs_nothing_and_is_rung_for_when_there_is_room(cf: LedgerEngine) -> None:
    await cf.cap(Caps(agents=1))
    page, debate = await cf.submitted(), await cf.submitted(type=WorkerType.DEBATE)
    assert (await rung(cf), await rung(cf, "debate")) == ([page.id], [debate.id])  # no type waits for another's workers
    claimed = await cf.claimed(page.id)
    assert await cf.ledger.claim(debate.id, "w1", "over the cap") is None
    got = await cf.ledger.get("acme", debate.id)
    assert (got.state, got.attempts, got.fence) == (TaskState.QUEUED, 0, 0)
    assert (await cf.ledger.snapshot()).depths[WorkerType.DEBATE].held == 1
    await cf.ledger.finish(claimed.claim, SUCCESS)
    assert (await cf.messages("debate"))[-1] == Message(f"{debate.id}:r1", debate.id)
    assert (await cf.claimed(debate.id)).task.attempts == 1


async def test_the_oldest_of_the_highest_priority_goes_next(cf: LedgerEngine) -> None:
    await cf.cap(Caps(running=TenantCaps(1)))
    running = await cf.claimed((await cf.submitted()).id)
    order = [Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.HIGH, Priority.NORMAL]
    waiting = [await cf.submitted(priority=priority) for priority in order]
    seen = []
    for _ in waiting:
        await cf.ledger.finish(running.claim, SUCCESS)
        (task_id,) = [task_id for place, task_id in await cf.places() if place == "queued"]
        seen.append([task.id for task in waiting].index(task_id))
        running = await cf.claimed(task_id)
    assert seen == [2, 3, 1, 4, 0]


async def test_flood_of_one_tenant_fills_no_queue(cf: LedgerEngine) -> None:
    await cf.cap(Caps(running=TenantCaps(2, {"vip": 3, "house": 0})))
    await cf.ledger.submit([new_task() for _ in range(50)])
    assert len(await rung(cf)) == 2
    other = await cf.submitted(tenant="rival")
    assert (await rung(cf))[-1] == other.id
    await cf.ledger.submit([new_task(tenant="vip") for _ in range(5)])
    await cf.ledger.submit([new_task(tenant="house") for _ in range(5)])
    depth = (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE]
    assert (depth.queued, depth.held, depth.held_by_tenant) == (2 + 1 + 3 + 5, 48 + 2, 48 + 2)


async def test_tenant_runs_no_more_than_it_may_over_all_types(cf: LedgerEngine) -> None:
    await cf.cap(Caps(running=TenantCaps(1)))
    page, debate = await cf.submitted(), await cf.submitted(type=WorkerType.DEBATE)
    claimed = await cf.claimed(debate.id)
    assert await cf.ledger.claim(page.id, "w1", "over the cap") is None
    await cf.claimed((await cf.submitted(tenant="rival")).id)
    await cf.ledger.finish(claimed.claim, SUCCESS)
    assert (await cf.messages("scrape"))[-1].task_id == page.id
    await cf.claimed(page.id)


async def finishes(cf: LedgerEngine, task: NewTask) -> None:
    await cf.ledger.finish((await cf.claimed(task.id)).claim, SUCCESS)


async def waits_for_a_retry(cf: LedgerEngine, task: NewTask) -> None:
    await cf.ledger.finish((await cf.claimed(task.id)).claim, RETRY)


async def is_cancelled_in_the_queue(cf: LedgerEngine, task: NewTask) -> None:
    await cf.ledger.cancel("acme", task.id)


async def dies_with_its_worker(cf: LedgerEngine, task: NewTask) -> None:
    await cf.claimed(task.id)
    await cf.expire_lease("w1")
    assert (await cf.reaper.reap()).dead == 1


async def runs_too_long(cf: LedgerEngine, task: NewTask) -> None:
    await cf.claimed(task.id)
    await cf.overdue(task.id)
    assert (await cf.reaper.reap()).timed_out == 1


async def is_handed_back_cancelled(cf: LedgerEngine, task: NewTask) -> None:
    claimed = await cf.claimed(task.id)
    await cf.ledger.cancel("acme", task.id)
    await cf.ledger.hand_back(claimed.claim)


@pytest.mark.parametrize("caps", [Caps(agents=1), Caps(running=TenantCaps(1))], ids=["deployment", "tenant"])
@pytest.mark.parametrize(
    "leaves",
    [
        finishes,
        waits_for_a_retry,
        is_cancelled_in_the_queue,
        dies_with_its_worker,
        runs_too_long,
        is_handed_back_cancelled,
    ],
)
async def test_whatever_ends_a_task_lets_the_next_one_go(
    cf: LedgerEngine, caps: Caps, leaves: Callable[[LedgerEngine, NewTask], Awaitable[None]]
) -> None:
    await cf.cap(caps)
    first = await cf.submitted(max_attempts=2 if leaves is waits_for_a_retry else 1)
    second, third = await cf.submitted(), await cf.submitted()
    assert await rung(cf) == [first.id]
    await leaves(cf, first)
    assert await rung(cf) == [first.id, second.id]
    assert ("queued", third.id) not in await cf.places()


@pytest.mark.parametrize("caps", [Caps(agents=1), Caps(running=TenantCaps(1))], ids=["deployment", "tenant"])
async def test_task_that_is_given_back_takes_its_own_room(cf: LedgerEngine, caps: Caps) -> None:
    await cf.cap(caps)
    first, second = await cf.submitted(), await cf.submitted()
    claimed = await cf.claimed(first.id)
    await cf.ledger.hand_back(claimed.claim)
    assert await cf.messages("scrape") == [Message(first.id, first.id), Message(f"{first.id}:r1", first.id)]
    await finishes(cf, first)
    await cf.claimed(second.id)


async def test_full_queue_of_a_tenant_takes_nothing_more(cf: LedgerEngine) -> None:
    await cf.cap(Caps(queued=TenantCaps(3)))
    first, key = new_task(), Idempotency("k", "hash")
    await cf.ledger.submit([first], key)
    await cf.submitted(delay_s=60)
    with pytest.raises(TenantQueueFull, match="at most 3") as caught:
        await cf.ledger.submit([new_task(), new_task()])
    assert caught.value.retry_after_s > 0
    assert await cf.figures("acme") == {"waiting": 2, "ready:scrape": 1}
    await cf.submitted(tenant="rival")
    await cf.submitted()
    with pytest.raises(TenantQueueFull):
        await cf.submitted()
    assert (await cf.ledger.submit([new_task()], key)).replayed  # it was accepted before
    assert not (await cf.ledger.submit([first])).replayed  # as was this, whose answer was lost
    await cf.claimed(first.id)
    await cf.submitted()


async def test_full_queue_takes_no_replay_either(cf: LedgerEngine) -> None:
    await cf.cap(Caps(queued=TenantCaps(1)))
    task = await cf.submitted()
    await cf.ledger.cancel("acme", task.id)
    other = await cf.submitted()
    with pytest.raises(TenantQueueFull):
        await cf.ledger.replay("acme", task.id)
    assert (await cf.ledger.get("acme", task.id)).state is TaskState.CANCELLED
    await cf.ledger.cancel("acme", other.id)
    assert await cf.ledger.replay("acme", task.id) is TaskState.QUEUED


async def test_cap_that_is_raised_or_lifted_lets_tasks_go_though_nothing_ends(cf: LedgerEngine) -> None:
    await cf.cap(Caps(agents=2, running=TenantCaps(1)))
    await cf.ledger.submit([new_task() for _ in range(6)])
    await cf.ledger.submit([new_task(tenant="rival") for _ in range(2)])
    assert (await cf.reaper.reap()).released == 0
    for caps, going in ((Caps(agents=3, running=TenantCaps(2)), 3), (Caps(agents=5), 5), (NO_CAPS, 8)):
        await cf.cap(caps)
        assert (await cf.reaper.reap()).released
        assert Counter(place for place, _ in await cf.places())["queued"] == going
        assert len(await rung(cf)) == going


@pytest.mark.parametrize("caps", [NO_CAPS, Caps(agents=3), Caps(running=TenantCaps(3))])
async def test_what_comes_up_together_is_as_one_after_the_other(cf: LedgerEngine, caps: Caps) -> None:
    tasks, going = [await cf.submitted() for _ in range(6)], 6 if caps == NO_CAPS else 3
    await cf.cap(caps)
    worker, left = await cf.worker(), [task.id for task in tasks]
    while left:
        calls = [cf.ledger.claim(task_id, worker, f"{task_id}{n}") for task_id in left for n in range(2)]
        claims = [claimed.claim for claimed in await asyncio.gather(*calls) if claimed is not None]
        running = [claim.task_id for claim in claims]
        assert len(set(running)) == len(running) == min(going, len(left))
        assert {task_id for place, task_id in await cf.places() if place == "running"} == set(running)
        assert {claim.task_id for claim in await cf.ledger.strays(worker, ())} == set(running)
        ends = [cf.ledger.finish(claim, SUCCESS) for claim in claims for _ in range(2)]
        assert set(await asyncio.gather(*ends)) == {TaskState.SUCCEEDED}
        left = [task_id for task_id in left if task_id not in running]
        assert set(left) <= set(await rung(cf))
        depth = (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE]
        assert (depth.running, depth.queued + depth.held, len(await cf.places())) == (0, len(left), len(left))
    assert await cf.ledger.strays(worker, ()) == []


async def test_nobody_rings_for_held_tasks_or_counts_their_age(cf: LedgerEngine) -> None:
    await cf.cap(Caps(agents=2, running=TenantCaps(1)))
    mine = [await cf.submitted() for _ in range(3)]
    await cf.submitted(tenant="rival")
    await cf.submitted(tenant="third")
    await cf.age_in_queue(mine[0].id)
    assert (await cf.reaper.reap()).rung == 0
    await cf.lose_messages("scrape")
    assert (await cf.reaper.reap()).rung == 1  # the other one that is queued has only just been rung for
    assert await rung(cf) == [mine[0].id]
    assert (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE].oldest_queued_s > 1_000
    await cf.claimed(mine[0].id)
    assert (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE].oldest_queued_s < 60


async def test_held_task_is_cancelled_listed_and_runs_as_any_other(cf: LedgerEngine) -> None:
    await cf.cap(Caps(running=TenantCaps(1)))
    running, held, gone = [await cf.submitted() for _ in range(3)]
    assert await cf.ledger.cancel("acme", gone.id) is TaskState.CANCELLED
    await finishes(cf, running)
    await finishes(cf, held)
    assert await cf.figures("acme") == {}
    assert await cf.places() == []
