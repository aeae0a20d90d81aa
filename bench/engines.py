"""The engines of one measurement, new and empty: Valkey, the graph and the vectors, as `codeforge up` starts them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from neo4j import GraphDatabase
from qdrant_client import QdrantClient

from bench.processes import family
from tests.servers.arcadedb import ArcadeDbServer
from tests.servers.qdrant import QdrantServer
from tests.servers.valkey import ValkeyServer


@dataclass(frozen=True, slots=True)
class Engines:
    """Three running servers."""

    valkey: ValkeyServer
    graph: ArcadeDbServer
    vectors: QdrantServer

    @property
    def settings(self) -> dict[str, str]:
        """What leads this service's processes to them."""
        return {
            "CODEFORGE_REDIS_URL": self.valkey.url,
            "CODEFORGE_NEO4J_URI": self.graph.uri,
            "CODEFORGE_NEO4J_USER": self.graph.user,
            "CODEFORGE_NEO4J_PASSWORD": self.graph.password.get_secret_value(),
            "CODEFORGE_QDRANT_URL": self.vectors.url,
        }

    @property
    def peers(self) -> dict[str, str]:
        """What leads the peers to them."""
        return {
            "REDIS": self.valkey.url,
            "BOLT": self.graph.uri,
            "BOLT_USER": self.graph.user,
            "BOLT_PASSWORD": self.graph.password.get_secret_value(),
            "QDRANT": self.vectors.url,
        }

    def stored_tasks(self) -> int:
        """Task nodes in the graph."""
        return int(self._count("MATCH (n:Task) RETURN count(n) AS found"))

    def stored_points(self, collection: str) -> int:
        """Points in the collection."""
        client = QdrantClient(url=self.vectors.url, check_compatibility=False)
        try:
            return client.count(collection, exact=True).count
        finally:
            client.close()

    def server(self) -> list[psutil.Process]:
        """The broker's process."""
        return family(self.valkey.pid or 0)

    def graph_processes(self) -> list[psutil.Process]:
        """The graph's process."""
        return family(self.graph.pid)

    def vector_processes(self) -> list[psutil.Process]:
        """The vector store's process."""
        return family(self.vectors.pid)

    def _count(self, query: str) -> int:
        auth = (self.graph.user, self.graph.password.get_secret_value())
        with GraphDatabase.driver(self.graph.uri, auth=auth) as driver:
            records, _, _ = driver.execute_query(query)
            return int(records[0]["found"])


@contextmanager
def running_valkey(place: Path) -> Iterator[ValkeyServer]:
    """The broker alone."""
    directory = place / "redis"
    directory.mkdir()
    server = ValkeyServer(directory)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def running_engines(place: Path) -> Iterator[Engines]:
    """New ones under `place`, gone at the end."""
    directories = [place / name for name in ("redis", "graph", "vectors")]
    for directory in directories:
        directory.mkdir(parents=True, exist_ok=True)
    engines = Engines(ValkeyServer(directories[0]), ArcadeDbServer(directories[1]), QdrantServer(directories[2]))
    with ExitStack() as stack:
        for server in (engines.valkey, engines.graph, engines.vectors):
            stack.callback(server.kill)
            server.start()
        yield engines
