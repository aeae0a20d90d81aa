"""The projector's parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from codeforge.ledger.connection import connect
from codeforge.ledger.outbox import RedisOutbox
from codeforge.ledger.port import Ledger
from codeforge.projection import Projector
from codeforge.settings import Settings
from codeforge.stores.ports import GraphStore, VectorStore
from codeforge.wiring.embeddings import embedder
from codeforge.wiring.graph import graph_store
from codeforge.wiring.ledger import BACKGROUND_CONNECTIONS, BLOCKING_TIMEOUT_S, redis_ledger, retention
from codeforge.wiring.vectors import vector_store


@dataclass(frozen=True, slots=True)
class ProjectorParts:
    """What the projector process works with."""

    ledger: Ledger
    outbox: RedisOutbox
    projector: Projector
    graph: GraphStore
    vectors: VectorStore


@asynccontextmanager
async def projector_parts(settings: Settings) -> AsyncIterator[ProjectorParts]:
    """The projector's parts, closed at the end."""
    address = settings.redis_address
    ledger = redis_ledger(settings, connections=BACKGROUND_CONNECTIONS)
    outbox = RedisOutbox(
        connect(address, max_connections=BACKGROUND_CONNECTIONS),
        connect(address, max_connections=2, timeout_s=BLOCKING_TIMEOUT_S),
        partitions=settings.outbox_partitions,
        retention=retention(settings),
    )
    graph, vectors, texts = graph_store(settings), vector_store(settings), embedder(settings)
    try:
        yield ProjectorParts(ledger, outbox, Projector(graph, vectors, texts), graph, vectors)
    finally:
        for part in (texts, vectors, graph, outbox, ledger):
            await part.close()
