"""The embedded ArcadeDB as `codeforge up` starts it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from codeforge.errors import StackError
from codeforge.local import arcadedb
from codeforge.local.arcadedb import DATABASE, USER, arcadedb_spec
from codeforge.local.bolt_probe import bolt_answers
from codeforge.stores.neo4j import Neo4jStore
from codeforge.stores.ports import GraphBatch, Node
from tests.servers.arcadedb import ArcadeDbServer
from tests.servers.valkey import free_port

PASSWORD = "no word of a command line"
TASK = Node("Task", "t", {"tenant": "acme"})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ArcadeDbServer]:
    """A server of the test's own, which it may stop."""
    yield from running_in(tmp_path)


@pytest.fixture(scope="module")
def idle_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArcadeDbServer]:
    """One to look at."""
    yield from running_in(tmp_path_factory.mktemp("idle"))


def running_in(directory: Path) -> Iterator[ArcadeDbServer]:
    with_spaces = directory / "a directory with spaces"
    with_spaces.mkdir()
    server = ArcadeDbServer(with_spaces, PASSWORD)
    server.start()
    yield server
    server.kill()


def write(server: ArcadeDbServer, *nodes: Node) -> None:
    asyncio.run(_write(server, nodes))


async def _write(server: ArcadeDbServer, nodes: tuple[Node, ...]) -> None:
    store = Neo4jStore(server.uri, server.user, server.password)
    await store.prepare()
    await store.write(GraphBatch(nodes, []))
    await store.close()


def read(server: ArcadeDbServer, task_id: str, database: str | None = None) -> GraphBatch | None:
    async def neighbourhood() -> GraphBatch | None:
        store = Neo4jStore(server.uri, server.user, server.password, database)
        try:
            return await store.neighbourhood("acme", task_id, 10)
        finally:
            await store.close()

    return asyncio.run(neighbourhood())


def test_reads_find_nothing_before_the_constraints_are_made(idle_server: ArcadeDbServer) -> None:
    assert read(idle_server, "t") is None
    assert asyncio.run(_first_task(idle_server)) == []


async def _first_task(server: ArcadeDbServer) -> list[Node]:
    store = Neo4jStore(server.uri, server.user, server.password)
    try:
        return list(await store.tasks("", 1))
    finally:
        await store.close()


def test_it_stops_on_sigterm_in_time_and_keeps_its_data(server: ArcadeDbServer) -> None:
    write(server, TASK)
    assert server.stop() < 20
    server.start()
    assert read(server, "t") == GraphBatch([TASK], [])


def test_it_recovers_from_sigkill_by_itself(server: ArcadeDbServer) -> None:
    tasks = [Node("Task", f"t{index}", {"tenant": "acme"}) for index in range(500)]
    write(server, *tasks)
    server.kill()
    server.start()
    assert [read(server, task.id) for task in (tasks[0], tasks[-1])] == [
        GraphBatch([task], []) for task in (tasks[0], tasks[-1])
    ]
    write(server, *tasks, TASK)


def test_a_new_password_opens_the_old_data(server: ArcadeDbServer) -> None:
    write(server, TASK)
    server.stop()
    server.password = SecretStr("another password")
    server.start()
    assert read(server, "t", database=DATABASE) == GraphBatch([TASK], [])


def test_the_password_is_in_no_command_line_and_in_no_file(idle_server: ArcadeDbServer) -> None:
    process = psutil.Process(idle_server.pid)
    assert all(PASSWORD not in word for word in process.cmdline())
    files = [path for path in idle_server.directory.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []


def test_it_listens_on_loopback_only(idle_server: ArcadeDbServer) -> None:
    listening = [
        each for each in psutil.Process(idle_server.pid).net_connections() if each.status == psutil.CONN_LISTEN
    ]
    assert len(listening) == 2
    assert {each.laddr.ip.removeprefix("::ffff:") for each in listening} == {"127.0.0.1"}


def test_it_stays_small(idle_server: ArcadeDbServer) -> None:
    assert psutil.Process(idle_server.pid).memory_info().rss < 200 << 20


def test_it_is_ready_for_its_own_password_and_database_only(idle_server: ArcadeDbServer) -> None:
    def answers(password: str, database: str) -> bool:
        return asyncio.run(bolt_answers("127.0.0.1", idle_server.port, USER, password, database))

    assert answers(PASSWORD, DATABASE)
    assert not answers("some other password", DATABASE)
    assert not answers(PASSWORD, "nothing")


def test_nothing_listening_is_an_oserror() -> None:
    with pytest.raises(OSError, match="Connect call failed"):
        asyncio.run(bolt_answers("127.0.0.1", free_port(), USER, PASSWORD, DATABASE))


def test_a_short_password_is_refused_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="8 characters"):
        arcadedb_spec(tmp_path, 1, 2, SecretStr("short"))


def test_a_missing_wheel_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arcadedb, "find_spec", lambda _: None)
    with pytest.raises(StackError, match="arcadedb-embedded") as error:
        arcadedb_spec(tmp_path, 1, 2, SecretStr(PASSWORD))
    assert error.value.code == "engine_missing"
