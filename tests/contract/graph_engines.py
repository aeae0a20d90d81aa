"""The graph store on each engine, as the contract tests use it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from neo4j import AsyncGraphDatabase, Record
from neo4j.exceptions import ServiceUnavailable
from pydantic import SecretStr

from codeforge.stores.memory_graph import MemoryGraphStore
from codeforge.stores.neo4j import Neo4jStore
from codeforge.stores.ports import GraphStore
from tests.servers.arcadedb import ArcadeDbServer
from tests.servers.valkey import free_port

KILL_CONNECTIONS = (
    "CALL dbms.listConnections() YIELD connectionId, connector WHERE connector = 'bolt' "
    "WITH collect(connectionId) AS ids CALL dbms.killConnections(ids) YIELD message RETURN count(message) AS n"
)


class GraphEngine(Protocol):
    """One engine, and the ways to look behind the port."""

    def store(self) -> GraphStore:
        """A new store on the engine's data."""
        ...

    def unreachable(self, timeout_s: float) -> GraphStore:
        """A store that nothing answers."""
        ...

    async def count_nodes(self, label: str, prefix: str) -> int:
        """Nodes whose id begins so, duplicates counted."""
        ...

    async def count_edges(self, type_: str, prefix: str) -> int:
        """Edges from nodes whose id begins so, duplicates counted."""
        ...

    async def drop_connections(self) -> None:
        """Every connection is lost, as when the server starts anew; the data stays."""
        ...


@contextlib.asynccontextmanager
async def opened(engine: GraphEngine) -> AsyncIterator[GraphStore]:
    """A prepared store, closed in the end."""
    store = engine.store()
    try:
        await store.prepare()
        yield store
    finally:
        await store.close()


class MemoryEngine:
    """The fake. All of its stores are one."""

    def __init__(self) -> None:
        self._store = MemoryGraphStore()

    def store(self) -> GraphStore:
        return self._store

    def unreachable(self, timeout_s: float) -> GraphStore:
        store = MemoryGraphStore()
        store.down = True
        return store

    async def count_nodes(self, label: str, prefix: str) -> int:
        return sum(its_label == label and id_.startswith(prefix) for its_label, id_ in self._store.nodes)

    async def count_edges(self, type_: str, prefix: str) -> int:
        return sum(its_type == type_ and start[1].startswith(prefix) for its_type, start, _ in self._store.edges)

    async def drop_connections(self) -> None:
        """There are none."""


class BoltEngine:
    """A real server."""

    def __init__(self, uri: str, user: str, password: SecretStr | None, server: ArcadeDbServer | None = None) -> None:
        self.uri, self._user, self._password, self._server = uri, user, password, server

    def store(self, database: str | None = None) -> Neo4jStore:
        # A machine that runs other things too may be slow; no test waits for this deadline.
        return Neo4jStore(self.uri, self._user, self._password, database, timeout_s=30)

    def unreachable(self, timeout_s: float) -> GraphStore:
        return Neo4jStore(f"bolt://127.0.0.1:{free_port()}", self._user, self._password, timeout_s=timeout_s)

    async def count_nodes(self, label: str, prefix: str) -> int:
        return await self.query(f"MATCH (n:{label}) WHERE n.id STARTS WITH $prefix RETURN count(n) AS n", prefix)

    async def count_edges(self, type_: str, prefix: str) -> int:
        return await self.query(
            f"MATCH (a)-[r:{type_}]->() WHERE a.id STARTS WITH $prefix RETURN count(r) AS n", prefix
        )

    async def drop_connections(self) -> None:
        if self._server is not None:
            await asyncio.to_thread(self._server.restart)
            return
        with contextlib.suppress(ServiceUnavailable):  # the query's own connection is among them
            await self.query(KILL_CONNECTIONS, "")

    async def query(self, text: str, prefix: str) -> int:
        """The `n` of the first record."""
        records = await self.execute(text, prefix=prefix)
        return int(records[0]["n"])

    async def execute(self, text: str, **parameters: str) -> list[Record]:
        """Runs any Cypher."""
        auth = (self._user, self._password.get_secret_value()) if self._password else None
        async with AsyncGraphDatabase.driver(self.uri, auth=auth) as driver, driver.session() as session:
            return [record async for record in await session.run(text, parameters)]
