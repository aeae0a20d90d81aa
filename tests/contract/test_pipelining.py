"""Calls of scripts that share round trips, on a real Valkey."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis
from redis.asyncio import Redis
from redis.exceptions import ResponseError, TimeoutError

from codeforge.ledger import pipelining
from codeforge.ledger.connection import connect
from codeforge.ledger.pipelining import MAX_BYTES, Pipelined
from tests.servers.valkey import ValkeyServer

pytestmark = pytest.mark.anyio

ECHO = "#!lua\nif ARGV[1] == 'bad' then return redis.error_reply('BAD word') end return {ARGV[1], #ARGV[2]}"
CALLS = 500


@pytest.fixture
async def client(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    redis = connect(valkey.url, max_connections=8, timeout_s=5.0)
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
    good, bad, large = await asyncio.gather(
        pipelined.run(script, ["good", ""]),
        pipelined.run(script, ["bad", ""]),
        pipelined.run(script, ["large", "x" * (MAX_BYTES + 1)]),
        return_exceptions=True,
    )
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
    impatient = connect(valkey.url, max_connections=8, timeout_s=0.3)
    script, pipelined = impatient.register_script(ECHO), Pipelined(impatient)
    await pipelined.run(script, ["first", ""])
    valkey.stand_still()
    try:
        async with asyncio.timeout(20):
            calls = (pipelined.run(script, [str(n), ""]) for n in range(CALLS))
            answers = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(answer) for answer in answers} == {TimeoutError}
    finally:
        valkey.go_on()
        await impatient.aclose(close_connection_pool=True)


async def test_more_than_can_wait_are_refused(client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelining, "MAX_WAITING", 10)
    script, pipelined = client.register_script(ECHO), Pipelined(client)
    answers = await asyncio.gather(*(pipelined.run(script, [str(n), ""]) for n in range(30)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, TimeoutError)]
    assert len(refused) == 20
