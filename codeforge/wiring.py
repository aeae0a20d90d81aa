"""The only place that picks adapters. Clients are made here and closed by who asked for them."""

import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from codeforge.agent import Agent
from codeforge.broker.message import ring_template
from codeforge.execution.attempt import AttemptRunner
from codeforge.execution.runtime import WorkerRuntime
from codeforge.ledger.bells import Bell, Bells
from codeforge.ledger.connection import connect
from codeforge.ledger.heartbeat import LeaseKeeper
from codeforge.ledger.outbox import RedisOutbox
from codeforge.ledger.port import Ledger
from codeforge.ledger.reaper import RedisReaperLedger
from codeforge.ledger.redis import RedisLedger
from codeforge.lineage import Lineage
from codeforge.llm.client import OpenAICompatibleClient
from codeforge.projection import Projector
from codeforge.search import Search
from codeforge.settings import Settings
from codeforge.stores.ports import Embedder, GraphStore, VectorStore
from codeforge.submission import Submissions
from codeforge.web.guard import AddressGuard
from codeforge.worker_types import Priority, WorkerType

API_CONNECTIONS = 64
WORKER_CONNECTIONS = 32
BACKGROUND_CONNECTIONS = 8
STREAM_CONNECTIONS = 210
BLOCKING_TIMEOUT_S = 15.0


def bells() -> Bells:
    """The broker's messages, as the ledger rings them."""
    return {
        (worker_type, priority): Bell(form.queue, form.template)
        for worker_type in WorkerType
        for priority in Priority
        for form in [ring_template(worker_type, priority)]
    }


def redis_ledger(settings: Settings, *, connections: int, blocking: int = 2) -> RedisLedger:
    """The ledger as the API and the workers see it."""
    address = settings.redis_address
    return RedisLedger(
        connect(address, max_connections=connections),
        connect(address, max_connections=blocking, timeout_s=BLOCKING_TIMEOUT_S),
        bells(),
        partitions=settings.outbox_partitions,
        lease_s=settings.lease_s,
        retention_s=settings.retention_s,
    )


def graph_store(settings: Settings) -> GraphStore:
    """Neo4j, or what speaks its protocol."""
    # Drivers are imported where they are used: a worker needs neither, and 500 agents shall fit on little hardware.
    from codeforge.stores.neo4j import Neo4jStore

    return Neo4jStore(settings.neo4j_address, settings.neo4j_user, settings.neo4j_password, settings.neo4j_database)


def vector_store(settings: Settings) -> VectorStore:
    """Qdrant."""
    from codeforge.stores.qdrant import QdrantStore

    return QdrantStore(
        settings.qdrant_address, settings.qdrant_api_key, settings.qdrant_collection, settings.embeddings_dim
    )


def embedder(settings: Settings) -> Embedder:
    """The configured service, else the model inside the `wordllama` package."""
    from codeforge.stores.embeddings import HttpEmbedder, WordLlamaEmbedder

    if settings.embeddings_base_url is None:
        return WordLlamaEmbedder(settings.embeddings_dim)
    return HttpEmbedder(
        settings.embeddings_base_url, settings.embeddings_api_key, settings.embeddings_model, settings.embeddings_dim
    )


def model_client(settings: Settings) -> OpenAICompatibleClient | None:
    """The model's service, where one is configured."""
    if not settings.model_configured:
        return None
    return OpenAICompatibleClient(
        settings.model_address,
        settings.model_key,
        settings.model_name,
        settings.llm_timeout_s,
        settings.llm_max_connections,
    )


@dataclass(frozen=True, slots=True)
class ApiServices:
    """What the front door works with: use cases, and the ports that health checks ask."""

    ledger: Ledger
    submissions: Submissions
    lineage: Lineage
    search: Search
    graph: GraphStore
    vectors: VectorStore
    embedder: Embedder

    async def close(self) -> None:
        """Closes every client."""
        for part in (self.embedder, self.vectors, self.graph, self.ledger):
            await part.close()


async def api_services(settings: Settings) -> ApiServices:
    """The front door's services."""
    ledger = redis_ledger(settings, connections=API_CONNECTIONS, blocking=STREAM_CONNECTIONS)
    graph, vectors, texts = graph_store(settings), vector_store(settings), embedder(settings)
    guard = AddressGuard(settings.allow_private_hosts)
    return ApiServices(
        ledger=ledger,
        submissions=Submissions(ledger, guard, model_configured=settings.model_configured),
        lineage=Lineage(graph),
        search=Search(vectors, texts),
        graph=graph,
        vectors=vectors,
        embedder=texts,
    )


def worker_runtime(settings: Settings, agents: Mapping[WorkerType, Agent]) -> WorkerRuntime:
    """A worker process's runtime. It ends its process when its lease keeper dies: nothing may run without a lease."""
    from codeforge.web.fetcher import GuardedFetcher
    from codeforge.web.search import ConfiguredSearch

    ledger = redis_ledger(settings, connections=WORKER_CONNECTIONS)
    model = model_client(settings)
    fetcher = GuardedFetcher(AddressGuard(settings.allow_private_hosts))
    search = ConfiguredSearch(settings)

    async def close() -> None:
        for part in (model, fetcher, search, ledger):
            if part is not None:
                await part.close()

    return WorkerRuntime(
        ledger,
        AttemptRunner(ledger, model=model, fetcher=fetcher, search=search),
        agents,
        keeper=partial(LeaseKeeper, settings.redis_address, lease_s=settings.lease_s),
        close=close,
        on_death=lambda: os.kill(os.getpid(), signal.SIGTERM),
        health_file=settings.health_file,
    )


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
        retention_s=settings.retention_s,
    )
    graph, vectors, texts = graph_store(settings), vector_store(settings), embedder(settings)
    try:
        yield ProjectorParts(ledger, outbox, Projector(graph, vectors, texts), graph, vectors)
    finally:
        for part in (texts, vectors, graph, outbox, ledger):
            await part.close()


@asynccontextmanager
async def reaper_ledger(settings: Settings) -> AsyncIterator[RedisReaperLedger]:
    """The reaper's side of the ledger, closed at the end."""
    redis = connect(settings.redis_address, max_connections=BACKGROUND_CONNECTIONS)
    try:
        yield RedisReaperLedger(redis, bells(), partitions=settings.outbox_partitions)
    finally:
        await redis.aclose(close_connection_pool=True)
