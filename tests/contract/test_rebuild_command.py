"""`codeforge rebuild vectors` as an operator types it, on real stores."""

import asyncio
from uuid import uuid4

import pytest
from click.testing import CliRunner

from codeforge.cli.main import main
from codeforge.projection import Projector
from codeforge.results import ScrapeResult
from codeforge.settings import load_settings
from codeforge.wiring.embeddings import embedder
from codeforge.wiring.graph import graph_store
from codeforge.wiring.vectors import vector_store
from codeforge.worker_types import WorkerType
from tests.contract.vector_engines import QdrantVectors
from tests.servers.arcadedb import ArcadeDbServer
from tests.unit.records.samples import finished, page


@pytest.fixture
def stores(
    arcadedb_server: ArcadeDbServer, embedded_qdrant: QdrantVectors, monkeypatch: pytest.MonkeyPatch
) -> QdrantVectors:
    settings = {
        "NEO4J_URI": arcadedb_server.uri,
        "NEO4J_USER": arcadedb_server.user,
        "NEO4J_PASSWORD": arcadedb_server.password.get_secret_value(),
        "QDRANT_URL": embedded_qdrant.url,
        "QDRANT_COLLECTION": embedded_qdrant.collection,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"CODEFORGE_{name}", value)
    return embedded_qdrant


def projected(task_id: str) -> int:
    """Writes a page to both stores; gives the number of texts that can be searched."""

    async def run() -> int:
        settings = load_settings()
        graph, vectors, texts = graph_store(settings), vector_store(settings), embedder(settings)
        try:
            await graph.prepare()
            await vectors.prepare()
            result = ScrapeResult(pages=[page("https://a.example/", "Bees dance.", title="Bees")], failed=[])
            await Projector(graph, vectors, texts).project([(finished(WorkerType.SCRAPE, result, id=task_id), ())])
            return await vectors.count()
        finally:
            for part in (texts, vectors, graph):
                await part.close()

    return asyncio.run(run())


def counted() -> int:
    async def run() -> int:
        vectors = vector_store(load_settings())
        try:
            return await vectors.count()
        finally:
            await vectors.close()

    return asyncio.run(run())


def test_rebuild_vectors_fills_an_empty_store_from_the_graph(stores: QdrantVectors) -> None:
    before = projected(uuid4().hex)
    assert before > 0
    stores.clear()
    result = CliRunner().invoke(main, ["rebuild", "vectors"])
    assert (result.exit_code, result.stderr) == (0, "")
    told = result.stdout.splitlines()[-1]
    assert told.startswith("done: ")
    assert told.endswith(" texts can be searched")
    # The graph may hold other tests' texts, too.
    assert before <= counted() <= int(told.split()[1])  # tasks that fetched the same page share its points


def test_rebuild_vectors_without_a_graph_is_one_line(stores: QdrantVectors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEFORGE_NEO4J_URI", "bolt://127.0.0.1:1")
    result = CliRunner().invoke(main, ["rebuild", "vectors"])
    assert result.exit_code == 1
    assert result.stderr.startswith("codeforge: ")
    assert result.stderr.count("\n") == 1
