"""What fills stores that lost their data."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from codeforge.projection import Projector
from codeforge.rebuilding import GraphRebuild, VectorRebuild
from codeforge.settings import Settings
from codeforge.wiring.embeddings import embedder
from codeforge.wiring.graph import graph_store
from codeforge.wiring.outbox import outbox_keeper
from codeforge.wiring.vectors import vector_store


@asynccontextmanager
async def graph_rebuild(settings: Settings) -> AsyncIterator[GraphRebuild]:
    """What adds the ledger's results to the outbox again, closed at the end."""
    async with outbox_keeper(settings) as keeper:
        yield GraphRebuild(keeper, settings.outbox_max_bytes)


@asynccontextmanager
async def vector_rebuild(settings: Settings) -> AsyncIterator[VectorRebuild]:
    """What fills the vector store from the graph, closed at the end."""
    graph, vectors, texts = graph_store(settings), vector_store(settings), embedder(settings)
    try:
        yield VectorRebuild(graph, vectors, Projector(graph, vectors, texts))
    finally:
        for part in (texts, vectors, graph):
            await part.close()
