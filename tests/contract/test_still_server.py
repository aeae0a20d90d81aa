"""A Redis that takes connections and answers nothing (stopped, or behind a network that drops): who asks is told so in
time, and what comes after is answered by what was asked then."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from redis.asyncio import Redis

from codeforge.errors import LedgerUnavailable
from codeforge.ledger.connection import connect
from codeforge.ledger.headroom import Headroom
from tests.patience import PATIENCE_S, once_in_time
from tests.servers.valkey import ValkeyServer

pytestmark = pytest.mark.anyio


@dataclass
class Silent:
    """A server that only counts who connects."""

    tries: int = 0
    url: str = ""

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tries += 1
        await reader.read()
        writer.close()


@pytest.fixture
async def silent() -> AsyncIterator[Silent]:
    counting = Silent()
    async with await asyncio.start_server(counting.take, "127.0.0.1", 0) as server:
        counting.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        yield counting


@pytest.fixture
async def client(silent: Silent) -> AsyncIterator[Redis]:
    redis = connect(silent.url, max_connections=4, timeout_s=1.0, within_s=0.5)
    yield redis
    await redis.aclose(close_connection_pool=True)


async def test_a_server_that_never_answers_is_tried_once_in_the_time_there_is(silent: Silent, client: Redis) -> None:
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(TimeoutError):
            await client.ping()
    assert silent.tries == 1


async def test_those_who_come_together_wait_together_for_it(silent: Silent, client: Redis) -> None:
    """The first submissions of an API that has just started."""
    room = Headroom(client)
    async with asyncio.timeout(PATIENCE_S):
        answers = await asyncio.gather(*(room.check() for _ in range(20)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {LedgerUnavailable}
    assert silent.tries == 1


async def test_an_answer_that_came_too_late_is_nobody_else_s(valkey: ValkeyServer) -> None:
    client: Any = connect(valkey.url, max_connections=1, within_s=1.0)
    try:
        assert await once_in_time(lambda: client.echo("first")) == b"first"
        valkey.stand_still()
        try:
            with pytest.raises(TimeoutError):
                await client.echo("late")
            with pytest.raises(TimeoutError):
                async with client.pipeline(transaction=False) as pipe:
                    await pipe.echo("late too").execute()
        finally:
            valkey.go_on()
        assert await once_in_time(lambda: client.echo("next")) == b"next"
        async with client.pipeline(transaction=False) as pipe:
            assert await once_in_time(pipe.echo("a").echo("b").execute) == [b"a", b"b"]
    finally:
        await client.aclose(close_connection_pool=True)
