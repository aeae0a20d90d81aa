"""Engines under the contracts. Real servers that only some machines have are found by the environment."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr

from tests.contract.graph_engines import BoltEngine, GraphEngine, MemoryEngine
from tests.contract.ledger_engines import LedgerEngine, MemoryLedgerEngine, opened_ledger
from tests.contract.vector_engines import MemoryVectors, QdrantVectors, VectorEngine
from tests.servers.arcadedb import ArcadeDbServer
from tests.servers.qdrant import QdrantServer

REQUIRE_LANES = "CODEFORGE_REQUIRE_LANES"
NEO4J_URI = "CODEFORGE_TEST_NEO4J_URI"
NEO4J_PASSWORD = "CODEFORGE_TEST_NEO4J_PASSWORD"
QDRANT_URL = "CODEFORGE_TEST_QDRANT_URL"
QDRANT_API_KEY = "CODEFORGE_TEST_QDRANT_API_KEY"


def lane_address(variable: str, how: str) -> str:
    """The address of a server that someone started for these tests. Without one the test is skipped, and fails where
    every lane is required."""
    address = os.environ.get(variable)
    if address:
        return address
    message = f"{variable} is not set; to run this lane: {how}"
    if os.environ.get(REQUIRE_LANES):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def arcadedb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArcadeDbServer]:
    """One real ArcadeDB for the whole run."""
    server = ArcadeDbServer(tmp_path_factory.mktemp("arcadedb"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def arcadedb(arcadedb_server: ArcadeDbServer) -> BoltEngine:
    """The run's ArcadeDB, with what earlier tests left in it."""
    arcadedb_server.start()
    return BoltEngine(arcadedb_server.uri, arcadedb_server.user, arcadedb_server.password, arcadedb_server)


@pytest.fixture
def neo4j_server() -> BoltEngine:
    """A real Neo4j, with what earlier tests left in it."""
    uri = lane_address(NEO4J_URI, "python -m tests.servers.neo4j -- python -m pytest tests/contract")
    password = os.environ.get(NEO4J_PASSWORD)
    return BoltEngine(uri, "neo4j", SecretStr(password) if password else None)


@pytest.fixture(params=["memory", "arcadedb", "neo4j_server"])
def graph_engine(request: pytest.FixtureRequest) -> GraphEngine:
    """Each engine in turn."""
    if request.param == "memory":
        return MemoryEngine()
    engine: GraphEngine = request.getfixturevalue(request.param)
    return engine


@pytest.fixture(params=["arcadedb", "neo4j_server"])
def bolt_engine(request: pytest.FixtureRequest) -> BoltEngine:
    """Each real server in turn."""
    engine: BoltEngine = request.getfixturevalue(request.param)
    return engine


@pytest.fixture(params=["memory", "server"])
def ledger_url(request: pytest.FixtureRequest) -> str | None:
    """Where the ledger under contract is; None for the fake."""
    if request.param == "memory":
        return None
    url: str = request.getfixturevalue("ledger_server").url
    return url


@pytest.fixture
async def cf(ledger_url: str | None) -> AsyncIterator[LedgerEngine]:
    """An empty ledger: the fake, then the real one."""
    if ledger_url is None:
        yield MemoryLedgerEngine()
        return
    async with opened_ledger(ledger_url) as engine:
        yield engine


@pytest.fixture(scope="session")
def qdrant_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantServer]:
    """One embedded Qdrant for the whole run."""
    server = QdrantServer(tmp_path_factory.mktemp("qdrant"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def embedded_qdrant(qdrant_server: QdrantServer) -> Iterator[QdrantVectors]:
    """The run's embedded Qdrant, with a collection of the test's own."""
    qdrant_server.start()
    engine = QdrantVectors(qdrant_server.url)
    yield engine
    engine.clear()


@pytest.fixture
def real_qdrant() -> Iterator[QdrantVectors]:
    """A real Qdrant, with a collection of the test's own."""
    address = os.environ.get(QDRANT_URL)
    if not address:  # no package brings one, so that this lane is for those who have a server
        pytest.skip(f"{QDRANT_URL} is not set; to run this lane: start a Qdrant server and set it to its address")
    key = os.environ.get(QDRANT_API_KEY)
    engine = QdrantVectors(address, SecretStr(key) if key else None)
    yield engine
    engine.clear()


@pytest.fixture(params=["embedded_qdrant", "real_qdrant"])
def qdrant(request: pytest.FixtureRequest) -> QdrantVectors:
    """Each server in Qdrant's wire format."""
    engine: QdrantVectors = request.getfixturevalue(request.param)
    return engine


@pytest.fixture(params=["memory", "embedded_qdrant", "real_qdrant"])
def vector_engine(request: pytest.FixtureRequest) -> VectorEngine:
    """Each engine in turn."""
    if request.param == "memory":
        return MemoryVectors()
    engine: VectorEngine = request.getfixturevalue(request.param)
    return engine
