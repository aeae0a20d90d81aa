"""A Redis that takes connections and answers nothing (stopped, or behind a network that drops): who asks is told so in
time, and what comes after is answered by what was asked then."""

import asyncio

import pytest

from codeforge.ledger.connection import connect
from tests.patience import PATIENCE_S
from tests.servers.valkey import ValkeyServer

pytestmark = pytest.mark.anyio


async def test_a_server_that_never_answers_is_tried_once_in_the_time_there_is() -> None:
    tries = 0

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = connect(f"redis://127.0.0.1:{port}/0", max_connections=1, timeout_s=1.0, within_s=0.5)
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(TimeoutError):
                await client.ping()
        await client.aclose(close_connection_pool=True)
    assert tries == 1


async def test_an_answer_that_came_too_late_is_nobody_else_s(valkey: ValkeyServer) -> None:
    client = connect(valkey.url, max_connections=1, within_s=1.0)
    try:
        assert await client.echo("first") == b"first"
        valkey.stand_still()
        try:
            with pytest.raises(TimeoutError):
                await client.echo("late")
            with pytest.raises(TimeoutError):
                async with client.pipeline(transaction=False) as pipe:
                    await pipe.echo("late too").execute()
        finally:
            valkey.go_on()
        assert await client.echo("next") == b"next"
        async with client.pipeline(transaction=False) as pipe:
            assert await pipe.echo("a").echo("b").execute() == [b"a", b"b"]
    finally:
        await client.aclose(close_connection_pool=True)
