"""What comes before a request is known: bounded in bytes and in time, over a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unittest.mock import MagicMock

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from codeforge.api.connection_limit import LimitedState
from codeforge.api.connections import MAX_HEADER_BYTES, MAX_MESSAGE_BYTES, BoundedConnection
from codeforge.api.server import Server
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.anyio

BEGUN = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
ONE_MB = 1024 * 1024


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """Of a server that looks at its connections all the time."""
    monkeypatch.setattr("codeforge.api.server.LOOK_TICKS", 1)
    async with serving(app, 1_000) as port:
        yield port


@asynccontextmanager
async def serving(app: ASGIApp, connections: int) -> AsyncIterator[int]:
    """The port of a server that takes so many connections."""
    config = uvicorn.Config(
        app,
        port=0,
        http=BoundedConnection,
        lifespan="off",
        log_config=None,
        timeout_keep_alive=int(PATIENCE_S),
        timeout_graceful_shutdown=1,
    )
    config.load()
    server = Server(config, connections)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    running = asyncio.create_task(server.main_loop())
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await running
        await server.shutdown()


async def answered(port: int, *parts: bytes) -> tuple[int, str | None]:
    """Status and code of the answer to what is sent, once the server has closed the connection."""
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
            answer = b""
            while not answer.endswith((b"}", b"\r\n\r\n")) and (more := await reader.read(ONE_MB)):
                answer += more
        finally:
            writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["code"] if body else None


def connected(app: ASGIApp) -> tuple[BoundedConnection, MagicMock]:
    """A connection and its transport, which keeps what is written to it."""
    config = uvicorn.Config(app, http=BoundedConnection, lifespan="off", log_config=None)
    config.load()
    transport = MagicMock()
    transport.is_closing.return_value = False
    connection = BoundedConnection(config, LimitedState(1), {})
    connection.connection_made(transport)
    return connection, transport


async def test_headers_that_are_too_large_are_told_so() -> None:
    connection, transport = connected(app)
    connection.data_received(BEGUN)
    connection.data_received(b"X: " + b"a" * MAX_HEADER_BYTES)
    ((answer,),) = [call.args for call in transport.write.call_args_list]
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'"code":"headers_too_large"' in answer
    transport.close.assert_called_once_with()


async def test_a_body_without_an_end_gets_no_second_answer() -> None:
    answered_early = asyncio.Event()

    async def answers_early(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})
        answered_early.set()

    connection, transport = connected(answers_early)
    connection.data_received(BEGUN + b"Transfer-Encoding: chunked\r\n\r\n")
    async with asyncio.timeout(PATIENCE_S):
        await answered_early.wait()
    transport.reset_mock()
    for _ in range(MAX_MESSAGE_BYTES // ONE_MB + 1):
        connection.data_received(b"%x\r\n%b\r\n" % (ONE_MB, bytes(ONE_MB)))
    transport.write.assert_not_called()
    transport.close.assert_called_with()


@pytest.mark.parametrize("part", [b"X: a\r\n", b"a"])
@pytest.mark.parametrize("begun", [BEGUN + b"X: ", b"GET /"])
async def test_headers_without_an_end_are_not_kept(port: int, begun: bytes, part: bytes) -> None:
    with pytest.raises(ConnectionError):  # the server has ended it; its answer may be lost on the way
        await answered(port, begun, *[part * MAX_HEADER_BYTES] * 500)


async def test_headers_that_do_not_come_are_not_waited_for(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.api.connections.HEADER_S", 0.0)
    assert await answered(port, BEGUN) == (408, "headers_timeout")
    assert await answered(port) == (408, "headers_timeout")


async def test_what_is_no_request_is_a_problem_too(port: int) -> None:
    assert await answered(port, b"hello\r\n\r\n") == (400, "bad_request")


async def test_a_body_is_no_header(port: int) -> None:
    size = 2 * MAX_HEADER_BYTES
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n" % size
    assert await answered(port, head, b"\r\n", b"a" * size) == (204, None)
    assert await answered(port, BEGUN, b"X: " + b"a" * 1_000, b"\r\n\r\n") == (204, None)
