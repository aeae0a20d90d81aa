"""What the adapter for Bolt servers makes of a server's refusals, beyond the port's contract."""

import asyncio
import logging
import socket
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from pydantic import SecretStr

from codeforge.errors import GraphUnavailable, RowRejected, SettingsError
from codeforge.stores.neo4j import Neo4jStore
from codeforge.stores.ports import Edge, GraphBatch, Node
from tests.contract.graph_engines import BoltEngine, opened

SECRET = "the wrong password"
EDGE = Edge("CHILD_OF", ("Task", "a"), ("Task", "b"))


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield int(server.getsockname()[1])


@pytest.mark.anyio
async def test_rows_that_the_server_will_never_take_are_rejected(bolt_engine: BoltEngine) -> None:
    """An operator's own constraint stands for what only the server can know."""
    key = uuid4().hex
    create = "CREATE CONSTRAINT IF NOT EXISTS FOR (n:Artifact) REQUIRE n.slug IS UNIQUE"
    nodes = [Node("Artifact", f"{key}-{index}", {"tenant": "acme", "slug": key}) for index in range(2)]
    async with opened(bolt_engine) as store:
        await bolt_engine.execute(create)
        await store.write(GraphBatch(nodes[:1], []))
        with pytest.raises(RowRejected, match="ConstraintValidationFailed") as refusal:
            await store.write(GraphBatch(nodes[1:], []))
    assert key not in str(refusal.value)
    assert await bolt_engine.count_nodes("Artifact", key) == 1


@pytest.mark.anyio
async def test_the_driver_s_debug_log_holds_no_rows(bolt_engine: BoltEngine, caplog: pytest.LogCaptureFixture) -> None:
    """The driver spells out all parameters for it, which costs more than to encode them."""
    node = Node("Task", uuid4().hex, {"tenant": "acme", "input": "what a client wrote"})
    async with opened(bolt_engine) as store:
        with caplog.at_level(logging.DEBUG, "neo4j"):
            await store.write(GraphBatch([node], []))
    assert "MERGE (n:Task" in caplog.text
    assert "<1 rows>" in caplog.text
    assert "what a client wrote" not in caplog.text


@pytest.mark.anyio
async def test_many_reads_at_once_wait_for_their_turn(arcadedb: BoltEngine, caplog: pytest.LogCaptureFixture) -> None:
    """A server that refuses what is too much for it makes the driver come again later."""
    key = uuid4().hex
    async with opened(arcadedb) as store:
        await store.write(GraphBatch([Node("Task", key, {"tenant": "acme"})], []))
        with caplog.at_level(logging.WARNING, "neo4j"):
            found = await asyncio.gather(*(store.neighbourhood("acme", key, 10) for _ in range(100)))
    assert [batch and len(batch.nodes) for batch in found] == [1] * 100
    assert "will be retried" not in caplog.text


@pytest.mark.anyio
async def test_a_wrong_password_is_no_row_s_fault(arcadedb: BoltEngine) -> None:
    store = Neo4jStore(arcadedb.uri, "root", SecretStr(SECRET), timeout_s=5)
    with pytest.raises(GraphUnavailable, match="Unauthorized") as refusal:
        await store.write(GraphBatch([Node("Task", "t", {"tenant": "acme"})], []))
    await store.close()
    assert SECRET not in f"{refusal.value!r}{refusal.value.__cause__!r}"


@pytest.mark.anyio
async def test_a_database_that_is_not_there_fails_the_ping(arcadedb: BoltEngine) -> None:
    store = arcadedb.store(database="nothing")
    with pytest.raises(GraphUnavailable, match="DatabaseNotFound"):
        await store.ping()
    await store.close()


@pytest.mark.anyio
async def test_a_silent_server_is_given_up_in_time(silent_port: int) -> None:
    store = Neo4jStore(f"bolt://127.0.0.1:{silent_port}", "neo4j", None, timeout_s=0.5)
    start = time.monotonic()
    with pytest.raises(GraphUnavailable):
        await store.ping()
    assert time.monotonic() - start < 20  # the driver's own deadlines are half a minute and more
    await store.close()


@pytest.mark.anyio
async def test_edges_wait_for_the_store_s_other_edges_no_longer_than_the_deadline(silent_port: int) -> None:
    """Many writers, and a server that holds up the first."""
    store = Neo4jStore(f"bolt://127.0.0.1:{silent_port}", "neo4j", None, timeout_s=0.5)
    start = time.monotonic()
    writes = [store.write(GraphBatch([], [EDGE])) for _ in range(40)]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [GraphUnavailable] * 40
    assert time.monotonic() - start < 15  # one after the other they would take 20
    await store.close()


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:7474", "nonsense", "bolt://127.0.0.1:notaport", "bolt://", "bolt://me:secret@host:1", ""]
)
def test_an_address_that_is_none_names_the_setting(uri: str) -> None:
    with pytest.raises(SettingsError, match="NEO4J_URI"):
        Neo4jStore(uri, "neo4j", SecretStr("12345678"))
