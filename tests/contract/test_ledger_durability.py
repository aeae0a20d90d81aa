"""What is accepted stays: replicas that confirm, memory that is never filled up by submissions, evicting servers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from codeforge.errors import LedgerFull, LedgerUnavailable, NotReplicated, SettingsError
from codeforge.ledger.headroom import MAX_AGE_S, Headroom, require_noeviction
from codeforge.ledger.port import Idempotency
from codeforge.ledger.scripts import Replication
from codeforge.task import ModelCall, TaskState, Usage
from tests.contract.ledger_engines import SUCCESS, LedgerEngine, LedgerServer, opened_ledger
from tests.factories import new_task
from tests.servers.replicated import replica_of
from tests.servers.valkey import ValkeyServer

pytestmark = pytest.mark.anyio

KEY = Idempotency("k1", "hash")
ENOUGH_MS = 9_000
SHORT_MS = 50


@pytest.fixture
async def server(ledger_server: ValkeyServer) -> AsyncIterator[LedgerServer]:
    """The real engine only."""
    async with opened_ledger(ledger_server.url) as engine:
        yield engine


@pytest.fixture
def master(tmp_path: Path) -> Iterator[ValkeyServer]:
    (tmp_path / "master").mkdir()
    valkey = ValkeyServer(tmp_path / "master", options=("--repl-diskless-sync-delay", "0"))
    valkey.start()
    yield valkey
    valkey.kill()


@pytest.fixture
def replica(master: ValkeyServer, tmp_path: Path) -> Iterator[ValkeyServer]:
    valkey = replica_of(master, tmp_path / "replica")
    yield valkey
    valkey.go_on()
    valkey.kill()


async def test_submission_that_no_replica_confirms_is_refused_though_the_task_exists(cf: LedgerEngine) -> None:
    await cf.lose_replicas()
    task = new_task()
    with pytest.raises(NotReplicated, match="Idempotency-Key"):
        await cf.ledger.submit([task], KEY)
    assert (await cf.ledger.get("acme", task.id)).state is TaskState.QUEUED
    with pytest.raises(NotReplicated):  # the client's retry makes no second task, and is no confirmation either
        await cf.ledger.submit([new_task()], KEY)
    assert len(await cf.messages("scrape")) == 1


async def test_nearly_full_memory_refuses_submissions_and_lets_work_end_and_be_stored(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    await cf.fill()
    try:
        with pytest.raises(LedgerFull):
            await cf.submitted()
        await cf.ledger.record_step(claimed.claim, "s", b"1", None)
        assert await cf.ledger.finish(claimed.claim, SUCCESS) is TaskState.SUCCEEDED
        partitions = await cf.outbox.acquire("p1", 5.0)
        await cf.outbox.settle(await cf.outbox.read(partitions, 10, 1_000_000), {})
        assert (await cf.ledger.get("acme", task.id)).stored
    finally:
        await cf.make_room()
    assert await cf.submitted()


async def test_without_any_room_what_was_paid_for_is_kept_and_nothing_more_is_bought(cf: LedgerEngine) -> None:
    claimed = await cf.claimed((await cf.submitted()).id)
    for bought in ("answer", "hits"):
        assert await cf.ledger.begin_call(claimed.claim, bought)
    await cf.overfill()
    try:
        await cf.ledger.record_step(claimed.claim, "answer", b"{}", ModelCall("answer", "model", 8, 2, 0.1, 5))
        await cf.ledger.record_step(claimed.claim, "hits", b"[]", None, paid=True)
        with pytest.raises(LedgerFull):
            await cf.ledger.begin_call(claimed.claim, "next")
        with pytest.raises(LedgerFull):
            await cf.ledger.record_step(claimed.claim, "free", b"{}", None)
    finally:
        await cf.make_room()
    assert await cf.journaled(claimed.task.id) == {"answer": b"{}", "hits": b"[]"}
    assert (await cf.ledger.get("acme", claimed.task.id)).usage == Usage(8, 2, 0.1)
    assert (await cf.ledger.snapshot()).counters["llm_requests:model:ok"] == 1


async def test_a_server_without_any_room_still_ends_stores_and_reaps(server: LedgerServer) -> None:
    done, lost, waiting = await server.submitted(), await server.submitted(max_attempts=1), await server.submitted()
    claimed = await server.claimed(done.id)
    await server.claimed(lost.id, "w2")
    await server.expire_lease("w2")
    await server.overfill()
    try:
        assert await server.ledger.finish(claimed.claim, SUCCESS) is TaskState.SUCCEEDED
        assert await server.ledger.cancel("acme", waiting.id) is TaskState.CANCELLED
        assert await server.reaper.lead("r1", 5.0)
        report = await server.reaper.reap()
        assert report.taken_back + report.dead == 1
        await server.ledger.add_counters({"store_errors:graph": 1})
        partitions = await server.outbox.acquire("p1", 5.0)
        await server.outbox.settle(await server.outbox.read(partitions, 10, 1_000_000), {})
        assert (await server.ledger.get("acme", done.id)).stored
    finally:
        await server.make_room()


async def test_a_replica_confirms(master: ValkeyServer, replica: ValkeyServer) -> None:
    async with opened_ledger(master.url) as cf:
        ledger = cf.replicated_ledger(Replication(1, ENOUGH_MS))
        task = new_task()
        assert (await ledger.submit([task])).ids == [task.id]
        with redis.Redis.from_url(replica.url) as client:
            assert client.exists(f"cf:task:{task.id}") == 1
        await cf.redis.script_flush()
        await ledger.submit([new_task()])  # the script is loaded again
        with pytest.raises(NotReplicated):  # there is one replica, not two
            await cf.replicated_ledger(Replication(2, SHORT_MS)).submit([new_task()])


async def test_a_retry_waits_for_what_the_first_request_wrote(master: ValkeyServer, replica: ValkeyServer) -> None:
    async with opened_ledger(master.url) as first, opened_ledger(master.url) as second:
        hurried = Replication(1, SHORT_MS)
        replica.stand_still()
        task = new_task()
        with pytest.raises(NotReplicated):
            await first.replicated_ledger(hurried).submit([task], KEY)
        with pytest.raises(NotReplicated):  # over another connection, which wrote nothing itself
            await second.replicated_ledger(hurried).submit([new_task()], KEY)
        replica.go_on()
        answered = await second.replicated_ledger(Replication(1, ENOUGH_MS)).submit([new_task()], KEY)
        assert (answered.ids, answered.replayed) == ([task.id], True)


async def test_submissions_together_ask_for_the_memory_once_in_a_while(server: LedgerServer) -> None:
    clock = [1_000.0]
    room = Headroom(server.redis, clock=lambda: clock[0])

    async def asked() -> int:
        return int((await server.redis.info("commandstats")).get("cmdstat_info", {}).get("calls", 0))

    before = await asked()
    await asyncio.gather(*(room.check() for _ in range(50)))
    assert await asked() - before == 2  # its own look among them
    clock[0] += MAX_AGE_S
    await asyncio.gather(*(room.check() for _ in range(50)))
    assert await asked() - before == 4


async def test_an_evicting_server_is_refused_at_start_and_by_submissions(
    server: LedgerServer, ledger_server: ValkeyServer
) -> None:
    require_noeviction(ledger_server.url)
    await server.redis.config_set("maxmemory-policy", "allkeys-lru")
    await server.redis.config_set("maxmemory", "1gb")
    try:
        with pytest.raises(SettingsError, match=r"REDIS_URL: .* maxmemory-policy allkeys-lru, .* set noeviction"):
            require_noeviction(ledger_server.url)
        with pytest.raises(LedgerUnavailable, match="drops tasks"):
            await server.submitted()
    finally:
        await server.redis.config_set("maxmemory", 0)
        await server.redis.config_set("maxmemory-policy", "noeviction")


def test_a_server_that_is_away_does_not_keep_a_process_from_starting() -> None:
    require_noeviction("redis://127.0.0.1:1/0")
