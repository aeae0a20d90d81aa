"""The number of connections has a bound: idle ones go, and where none is idle, newcomers are told so."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from starlette.types import Receive, Scope, Send

from tests.patience import PATIENCE_S
from tests.unit.api.test_connections import answered, app, serving

pytestmark = pytest.mark.anyio


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, path: str = "/") -> None:
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await self._writer.drain()

    async def status(self) -> int:
        """Of the answer."""
        return int((await self._reader.readuntil(b"\r\n\r\n")).split()[1])

    async def is_sent_away(self) -> bool:
        """Waits until the server closes it; False if it says something before."""
        try:
            return await self._reader.read() == b""
        except ConnectionError:
            return True

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


class Clients:
    """Whoever is connected."""

    def __init__(self) -> None:
        self._all: list[Client] = []

    async def connect(self, port: int) -> Client:
        self._all.append(Client(*await asyncio.open_connection("127.0.0.1", port)))
        return self._all[-1]

    async def close(self) -> None:
        await asyncio.gather(*[client.close() for client in self._all])


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    everyone = Clients()
    yield everyone
    await everyone.close()


async def test_an_idle_connection_goes_when_there_is_one_too_many(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codeforge.api.connection_limit.IDLE_S", 0.0)
    async with serving(app, 3) as port, asyncio.timeout(PATIENCE_S):
        served = await clients.connect(port)
        await served.ask()
        assert await served.status() == 204
        silent = [await clients.connect(port) for _ in range(2)]
        newcomer = await clients.connect(port)
        assert await silent[0].is_sent_away()  # the oldest of those that never asked for anything
        for client in (served, silent[1], newcomer):
            await client.ask()
            assert await client.status() == 204


async def test_a_connection_that_has_just_come_is_no_idle_one(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codeforge.api.connection_limit.IDLE_S", PATIENCE_S)
    async with serving(app, 10) as port, asyncio.timeout(PATIENCE_S):
        first = [await clients.connect(port) for _ in range(10)]
        beyond, further = await clients.connect(port), await clients.connect(port)
        assert await further.is_sent_away()
        for client in (*first, beyond):
            await client.ask()
        assert [await client.status() for client in (*first, beyond)] == [204] * 10 + [503]


async def test_requests_under_way_are_left_alone_and_newcomers_are_told(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codeforge.api.connection_limit.IDLE_S", 0.0)
    begun, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/long":
            begun.release()
            await go_on.wait()
        await app(scope, receive, send)

    async with serving(waits, 20) as port, asyncio.timeout(PATIENCE_S):
        long = [await clients.connect(port) for _ in range(20)]
        for client in long:
            await client.ask("/long")
            await begun.acquire()
        assert await answered(port, b"GET /tasks HTTP/1.1\r\nHost: localhost\r\n\r\n") == (503, "too_many_connections")
        for probe in ("/healthz", "/readyz"):
            other = await clients.connect(port)
            await other.ask(probe)
            assert await other.status() == 204
            await other.close()
        go_on.set()
        assert [await client.status() for client in long] == [204] * 20


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "raised"),
    [(256, 4_096, 2_000, 2_712), (256, 1_024, 465, 1_024), (256, 256, 64, 256)],
)
def test_there_are_no_more_connections_than_files(soft: int, hard: int, connections: int, raised: int) -> None:
    code = (
        "import resource; from codeforge.api.connection_limit import connection_limit;"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}));"
        "print(connection_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    assert ended.stdout.split() == [str(connections), str(raised)]
