"""Memory is bounded: after any life, and its retention, a task leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from codeforge.ledger import keys
from codeforge.ledger.outbox import RedisOutbox
from codeforge.ledger.port import Idempotency, Outcome
from codeforge.ledger.retention import Retention
from codeforge.task import ModelCall, NewTask, TaskState
from codeforge.worker_types import WorkerType
from tests.contract.ledger_engines import BELLS, FAILURE, PARTITIONS, SUCCESS, LedgerServer, opened_ledger
from tests.factories import new_task
from tests.patience import PATIENCE_S
from tests.servers.valkey import ValkeyServer

pytestmark = pytest.mark.anyio

CALL = ModelCall("s", "m", 1, 1, 0.1, 5)
RETENTION_S = 60
"""Longer than the test takes; it shortens what is left at the end."""
TIMES = 3
"""How often each life is led."""

OF_THE_LEDGER = {
    b"cf:stats",
    b"cf:tenants",
    b"cf:reaper",
    b"cf:reaper:pass",
    b"cf:reaper:grace",
    b"cf:models",
    b"cf:outbox:bytes",
    b"cf:outbox:projectors",
    *(f"cf:outbox:{number}".encode() for number in range(PARTITIONS)),
    *(f"cf:outbox:owner:{number}".encode() for number in range(PARTITIONS)),
}
"""What is there once, however many tasks there were. docs/howto/redis.md says the same."""

Life = Callable[[LedgerServer, NewTask], Awaitable[None]]


@pytest.fixture
async def cf(ledger_server: ValkeyServer) -> AsyncIterator[LedgerServer]:
    """The real engine, with a short retention."""
    async with opened_ledger(ledger_server.url) as engine:
        kept = Retention(RETENTION_S)
        engine.outbox = RedisOutbox(engine.redis, engine.blocking, partitions=PARTITIONS, retention=kept)
        yield engine


async def stored(cf: LedgerServer) -> None:
    """All that waits in the outbox was projected."""
    partitions = await cf.outbox.acquire("p1", 5.0)
    while entries := await cf.outbox.read(partitions, 100, 1_000_000):
        await cf.outbox.settle(entries, {})


async def claimed(cf: LedgerServer, task: NewTask, worker: str = "w1"):  # type: ignore[no-untyped-def]
    """A claim whose task has left a trace in every place: journal, calls, marks, events, progress."""
    got = await cf.claimed(task.id, worker)
    await cf.ledger.begin_call(got.claim, "s")
    await cf.ledger.record_step(got.claim, "s", b"1", CALL)
    await cf.ledger.emit(got.claim, "note", b"{}")
    return got.claim


async def succeeds(cf: LedgerServer, task: NewTask) -> None:
    await cf.ledger.finish(await claimed(cf, task), SUCCESS)


async def fails_and_is_replayed(cf: LedgerServer, task: NewTask) -> None:
    await cf.ledger.finish(await claimed(cf, task), Outcome("failed", error=FAILURE))
    await cf.ledger.replay("acme", task.id)  # before the projector saw it
    await cf.ledger.finish(await claimed(cf, task), Outcome("failed", error=FAILURE))
    await stored(cf)
    await cf.ledger.replay("acme", task.id)  # after it
    await succeeds(cf, task)


async def is_retried_until_dead(cf: LedgerServer, task: NewTask) -> None:
    while await cf.ledger.finish(await claimed(cf, task), Outcome("retry", error=FAILURE)) is TaskState.QUEUED:
        await cf.reaper.reap()


async def is_cancelled_while_it_waits(cf: LedgerServer, task: NewTask) -> None:
    await cf.ledger.cancel("acme", task.id)


async def is_cancelled_while_it_runs(cf: LedgerServer, task: NewTask) -> None:
    claim = await claimed(cf, task)
    await cf.ledger.cancel("acme", task.id)
    await cf.ledger.finish(claim, Outcome("cancelled"))


async def is_handed_back(cf: LedgerServer, task: NewTask) -> None:
    await cf.ledger.hand_back(await claimed(cf, task))
    await succeeds(cf, task)


async def loses_its_worker(cf: LedgerServer, task: NewTask) -> None:
    await claimed(cf, task, "w2")
    await cf.ledger.cancel("acme", task.id)  # a word to a worker that will never hear it
    await cf.expire_lease("w2")
    await cf.reaper.reap()


async def runs_too_long(cf: LedgerServer, task: NewTask) -> None:
    await claimed(cf, task)
    await cf.overdue(task.id)
    await cf.reaper.reap()


async def test_nothing_of_a_task_outlives_its_retention(cf: LedgerServer) -> None:
    lives: list[Life] = [
        succeeds,
        fails_and_is_replayed,
        is_retried_until_dead,
        is_cancelled_while_it_waits,
        is_cancelled_while_it_runs,
        is_handed_back,
        loses_its_worker,
        runs_too_long,
    ]
    for number, life in enumerate(lives * TIMES):
        task = new_task()
        await cf.ledger.submit([task], Idempotency(f"k{number}", "hash"))
        await life(cf, task)
        assert (await cf.ledger.get("acme", task.id)).state.terminal, life
        await stored(cf)
    await cf.ledger.end_lease("w1")  # the other one crashed each time
    await cf.reaper.reap()
    await cf.reaper.step_down("r1")
    for worker_type in WorkerType:  # Celery's own, which its workers empty
        for queue in {bell.queue for (kind, _), bell in BELLS.items() if kind is worker_type}:
            await cf.lose_messages(queue)

    left = set(await cf.redis.keys("*")) - OF_THE_LEDGER
    unbounded = {name for name in left if await cf.redis.ttl(name) < 0}
    assert unbounded == {b"cf:tasks:acme", b"cf:dead:scrape"}  # trimmed once their tasks are gone
    assert all([0 <= await cf.redis.ttl(name) <= RETENTION_S for name in left - unbounded])
    for name in left - unbounded:
        await cf.redis.pexpire(name, 1)
    async with asyncio.timeout(PATIENCE_S):
        while set(await cf.redis.keys("*")) - OF_THE_LEDGER:
            await cf.reaper.forget()
    assert [await cf.redis.xlen(keys.outbox(number)) for number in range(PARTITIONS)] == [0] * PARTITIONS
    assert int(await cf.redis.get(keys.OUTBOX_BYTES)) == 0


async def test_kept_tasks_do_not_hide_expired_ones_behind_them(
    cf: LedgerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "MAX_PER_CALL", 2)
    kept = [await cf.submitted(delay_s=3_600) for _ in range(3)]
    gone = [await cf.submitted() for _ in range(3)]
    for task in gone:
        await cf.expire_task(task.id)
    for _ in range(4):
        await cf.reaper.forget()
    left = await cf.redis.zrange(keys.index("acme"), 0, -1)
    assert left == [task.id.encode() for task in kept]
