"""Calls of scripts that share round trips, on a real Valkey."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis
from redis.asyncio import Redis
from redis.exceptions import ResponseError, TimeoutError

from codeforge.errors import IdempotencyConflict, LedgerUnavailable, StaleClaim
from codeforge.ledger import keys, pipelining
from codeforge.ledger.connection import connect
from codeforge.ledger.pipelining import MAX_BYTES, Pipelined
from codeforge.ledger.port import Idempotency, WorkerRecord
from codeforge.settings import load_settings
from codeforge.task import TaskState
from codeforge.wiring.ledger import redis_ledger
from codeforge.worker_types import WorkerType
from tests.factories import new_task
from tests.patience import PATIENCE_S, once_in_time
from tests.servers.valkey import ValkeyServer

pytestmark = pytest.mark.anyio

ECHO = "#!lua\nif ARGV[1] == 'bad' then return redis.error_reply('BAD word') end return {ARGV[1], #ARGV[2]}"
CALLS = 500


@pytest.fixture
async def client(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    redis = connect(valkey.url, max_connections=8, timeout_s=PATIENCE_S)
    yield redis
    await redis.aclose(close_connection_pool=True)


def calls_and_reads(valkey: ValkeyServer) -> tuple[int, int]:
    """How many scripts the server ran by their hash, and how often it read from its clients."""
    with redis.Redis.from_url(valkey.url) as admin:
        run = admin.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
        return run, admin.info("stats")["total_reads_processed"]


async def test_every_caller_gets_its_own_answer_out_of_a_few_round_trips(client: Redis, valkey: ValkeyServer) -> None:
    script, pipelined = client.register_script(ECHO), Pipelined(client)
    await pipelined.run(script, ["first", ""])
    ran, read = calls_and_reads(valkey)
    answers = await asyncio.gather(*(pipelined.run(script, [str(n), "x" * n]) for n in range(CALLS)))
    assert answers == [[str(n).encode(), n] for n in range(CALLS)]
    ran_now, read_now = calls_and_reads(valkey)
    assert ran_now - ran == CALLS
    assert read_now - read < CALLS / 4


async def test_an_error_is_its_caller_s_alone(client: Redis) -> None:
    script, pipelined = client.register_script(ECHO), Pipelined(client)
    answers: list[object] = await asyncio.gather(
        pipelined.run(script, ["good", ""]),
        pipelined.run(script, ["bad", ""]),
        pipelined.run(script, ["large", "x" * (MAX_BYTES + 1)]),
        return_exceptions=True,
    )
    good, bad, large = answers
    assert good == [b"good", 0]
    assert isinstance(bad, ResponseError)
    assert large == [b"large", MAX_BYTES + 1]


async def test_a_caller_that_is_cancelled_stops_nobody_else(client: Redis) -> None:
    script, pipelined = client.register_script(ECHO), Pipelined(client)
    left = asyncio.create_task(pipelined.run(script, ["left", ""]))
    stays = asyncio.create_task(pipelined.run(script, ["stays", ""]))
    await asyncio.sleep(0)
    left.cancel()
    assert await stays == [b"stays", 0]
    with pytest.raises(asyncio.CancelledError):
        await left


async def test_a_server_that_stands_still_fails_all_in_time(
    client: Redis, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelining, "MAX_WAIT_S", 1.0)
    impatient = connect(valkey.url, max_connections=8, timeout_s=1.0)
    script, pipelined = impatient.register_script(ECHO), Pipelined(impatient)
    await once_in_time(lambda: pipelined.run(script, ["first", ""]))
    valkey.stand_still()
    try:
        async with asyncio.timeout(PATIENCE_S):
            calls = (pipelined.run(script, [str(n), ""]) for n in range(CALLS))
            answers = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(answer) for answer in answers} == {TimeoutError}
    finally:
        valkey.go_on()
        await impatient.aclose(close_connection_pool=True)


async def test_what_comes_up_during_the_one_round_trip_that_may_be_under_way_shares_the_next(
    client: Redis, valkey: ValkeyServer
) -> None:
    script, pipelined = client.register_script(ECHO), Pipelined(client, in_flight=1)
    await pipelined.run(script, ["first", ""])
    connections = len(await client.client_list())
    valkey.stand_still()
    calls = []
    try:
        for n in range(10):
            calls.append(asyncio.create_task(pipelined.run(script, [str(n), ""])))
            await asyncio.sleep(0)  # each in a turn of its own
    finally:
        valkey.go_on()
    assert await asyncio.gather(*calls) == [[str(n).encode(), 0] for n in range(10)]
    assert len(await client.client_list()) == connections


async def test_more_than_can_wait_are_refused(client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelining, "MAX_WAITING", 10)
    script, pipelined = client.register_script(ECHO), Pipelined(client)
    answers = await asyncio.gather(*(pipelined.run(script, [str(n), ""]) for n in range(30)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, TimeoutError)]
    assert len(refused) == 20


async def test_calls_run_together_get_their_own_answers_and_errors_out_of_few_runs(valkey: ValkeyServer) -> None:
    """What it is for: claims of many tasks in one turn of the loop; one by a worker without a lease, one of a row that
    is broken."""
    ledger = redis_ledger(load_settings({"redis_url": valkey.url}), connections=2)
    try:
        await ledger.renew_lease(WorkerRecord("w", [WorkerType.ANALYSIS], 100))
        tasks = [new_task() for _ in range(40)]
        await ledger.submit(tasks)
        assert await ledger.claim("unknown", "w", "c") is None
        with redis.Redis.from_url(valkey.url) as admin:
            admin.set(keys.task(tasks[1].id), "no row")
        ran, _ = calls_and_reads(valkey)
        answers = await asyncio.gather(
            *(ledger.claim(task.id, "w" if number else "nobody", task.id) for number, task in enumerate(tasks)),
            return_exceptions=True,
        )
        ran_now, _ = calls_and_reads(valkey)
    finally:
        await ledger.close()
    assert isinstance(answers[0], StaleClaim)
    assert isinstance(answers[1], LedgerUnavailable)
    assert [answer.task.id for answer in answers[2:]] == [task.id for task in tasks[2:]]  # type: ignore[union-attr]
    assert ran_now - ran == 3


async def test_submissions_run_together_but_large_ones_by_themselves(valkey: ValkeyServer) -> None:
    """What it is for: many clients that submit in one turn of the loop; one repeats its key with another body, and two
    bring batches, one of them large."""
    ledger = redis_ledger(load_settings({"redis_url": valkey.url}), connections=2)
    try:
        await ledger.submit([new_task()], Idempotency("key", "hash"))
        small, pair, large = (
            [new_task() for _ in range(20)],
            [new_task() for _ in range(2)],
            [new_task() for _ in range(50)],
        )
        ran, _ = calls_and_reads(valkey)
        answers = await asyncio.gather(
            ledger.submit([new_task()], Idempotency("key", "another")),
            *(ledger.submit([task]) for task in small), ledger.submit(pair), ledger.submit(large),
            return_exceptions=True,
        )  # fmt: skip
        ran_now, _ = calls_and_reads(valkey)
        states = [await ledger.state_of(task.id) for task in (*small, *pair, *large)]
    finally:
        await ledger.close()
    assert isinstance(answers[0], IdempotencyConflict)
    ids = [[task.id for task in tasks] for tasks in (*([task] for task in small), pair, large)]
    assert [answer.ids for answer in answers[1:]] == ids  # type: ignore[union-attr]
    assert states == [TaskState.QUEUED] * 72
    assert ran_now - ran <= 5  # 21 small ones in two runs, and the batches; the first may look at the memory before
