"""Results on their way into the real stores: what one of them refuses, and a vector store that lost its data."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from codeforge.background import Background
from codeforge.errors import VectorsUnavailable
from codeforge.ledger.memory import MemoryLedger
from codeforge.ledger.outbox_port import Requeued
from codeforge.ledger.port import Outcome, WorkerRecord
from codeforge.projection import Projector
from codeforge.projector_loop import ProjectorLoop
from codeforge.rebuilding import VectorRebuild
from codeforge.records.model import MAX_CONTENT_BYTES
from codeforge.results import CodingResult, ScrapeResult
from codeforge.search import Search
from codeforge.stores.memory_vectors import HashEmbedder
from codeforge.stores.neo4j import Neo4jStore
from codeforge.stores.qdrant import QdrantStore
from codeforge.worker_types import WorkerType
from tests.contract.graph_engines import BoltEngine
from tests.contract.vector_engines import QdrantVectors
from tests.factories import new_task
from tests.servers.arcadedb import ArcadeDbServer
from tests.unit.records.samples import finished, page
from tests.unit.records.test_task_records import SAMPLES

pytestmark = pytest.mark.anyio

DIM = 32
TAKEN = "taken.py"
UNIQUE_PATHS = "CREATE CONSTRAINT IF NOT EXISTS FOR (n:Artifact) REQUIRE n.path IS UNIQUE"
POISON = "a text that the model gives too short a vector for"


@pytest.fixture(scope="module")
def own_arcadedb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoltEngine]:
    """An ArcadeDB with a constraint that other tests must not meet."""
    server = ArcadeDbServer(tmp_path_factory.mktemp("own-arcadedb"))
    server.start()
    yield BoltEngine(server.uri, server.user, server.password, server)
    server.kill()


@dataclass
class Embedder(HashEmbedder):
    """Gives `POISON` a vector that Qdrant refuses while `broken`."""

    broken: bool = True
    dims: int = field(default=DIM)

    def __post_init__(self) -> None:
        super().__init__(self.dims)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        vectors = await super().embed(texts)
        refused = [self.broken and POISON in text for text in texts]
        return [vector[:-1] if bad else vector for vector, bad in zip(vectors, refused, strict=True)]


def coded(path: str) -> CodingResult:
    return CodingResult(files={path: "print()"}, diff="", tests=None, iterations=[])


async def ended(ledger: MemoryLedger, result: CodingResult | ScrapeResult) -> str:
    """A task with this result, which awaits its projection."""
    worker_type = WorkerType.CODING if isinstance(result, CodingResult) else WorkerType.SCRAPE
    task = new_task(type=worker_type)
    await ledger.submit([task])
    await ledger.renew_lease(WorkerRecord("w", list(WorkerType), 10))
    claimed = await ledger.claim(task.id, "w", "c")
    assert claimed is not None
    await ledger.finish(claimed.claim, Outcome("succeeded", result=result.model_dump_json().encode()))
    return task.id


async def points_of(qdrant: QdrantVectors, task_id: str) -> dict[str, str]:
    """Ids and texts of the task's points, as the server has them."""
    body = {"limit": 1_000, "filter": {"must": [{"key": "task_id", "match": {"value": task_id}}]}}
    with qdrant.client() as client:
        answer = client.post(f"/collections/{qdrant.collection}/points/scroll", json=body).raise_for_status()
    return {point["id"]: point["payload"]["text"] for point in answer.json()["result"]["points"]}


async def test_rows_that_the_servers_refuse_are_found_and_set_aside_alone(
    own_arcadedb: BoltEngine, embedded_qdrant: QdrantVectors
) -> None:
    graph, vectors, embedder = own_arcadedb.store(), embedded_qdrant.store(DIM), Embedder()
    ledger, background = MemoryLedger(), Background("projector", None)
    projector = Projector(graph, vectors, embedder)
    loop = ProjectorLoop(ledger, projector, ledger, graph, vectors, background)
    await ended(ledger, coded(TAKEN))
    await loop.turn()
    await own_arcadedb.execute(UNIQUE_PATHS)

    good = [await ended(ledger, coded(f"{number}.py")) for number in range(5)]
    by_graph = await ended(ledger, coded(TAKEN))
    by_vectors = await ended(ledger, ScrapeResult(pages=[page("https://a.example/", POISON)], failed=[]))
    good += [await ended(ledger, coded(f"{number}.py")) for number in range(5, 9)]
    await loop.turn()

    assert sum(len(entries) for entries in ledger.outbox) == 0
    assert [(await ledger.get("acme", task_id)).stored for task_id in good] == [True] * len(good)
    assert set(ledger.dead_letters) == {by_graph, by_vectors}
    assert "ConstraintValidationFailed" in ledger.dead_letters[by_graph]
    assert ledger.dead_letters[by_graph].startswith("graph: ")
    assert ledger.dead_letters[by_vectors].startswith("vectors: ")
    for task_id in good:
        assert await own_arcadedb.count_nodes("Task", task_id) == 1
        assert len(await points_of(embedded_qdrant, task_id)) == 1
    assert await own_arcadedb.count_nodes("Task", by_graph) == 0
    assert await points_of(embedded_qdrant, by_vectors) == {}

    embedder.broken = False
    letters = [letter for letter in await ledger.letters_after("", 10) if letter.task_id == by_vectors]
    assert await ledger.retry(letters) == [Requeued.QUEUED]
    await loop.turn()
    assert (await ledger.get("acme", by_vectors)).stored
    assert len(await points_of(embedded_qdrant, by_vectors)) == 1
    await closed(graph, vectors)


async def test_a_collection_that_is_gone_is_made_again(arcadedb: BoltEngine, embedded_qdrant: QdrantVectors) -> None:
    graph, vectors, ledger = arcadedb.store(), embedded_qdrant.store(DIM), MemoryLedger()
    projector = Projector(graph, vectors, HashEmbedder(DIM))
    loop = ProjectorLoop(ledger, projector, ledger, graph, vectors, Background("projector", None))
    await ended(ledger, coded("before.py"))
    await loop.turn()
    embedded_qdrant.clear()
    after = await ended(ledger, coded("after.py"))
    with pytest.raises(VectorsUnavailable):
        await loop.turn()
    with capture_logs() as lines:
        await loop.turn()
    assert [line["event"] for line in lines] == ["collection_was_missing"]
    assert (await ledger.get("acme", after)).stored
    assert len(await points_of(embedded_qdrant, after)) == 1
    await closed(graph, vectors)


async def test_a_page_seen_again_adds_nothing_and_a_changed_one_is_a_new_version(
    arcadedb: BoltEngine, embedded_qdrant: QdrantVectors
) -> None:
    graph, vectors = arcadedb.store(), embedded_qdrant.store(DIM)
    projector = Projector(graph, vectors, HashEmbedder(DIM))
    await graph.prepare()
    await vectors.prepare()
    key, tenant = uuid4().hex, f"tenant-{uuid4().hex}"
    url = f"https://a.example/{key}"
    before = "\n\n".join(f"Passage {number} of old. " + "word " * 150 for number in range(3))
    after = "\n\n".join(f"Passage {number} of new. " + "word " * 150 for number in range(2))

    async def scrape(number: int, markdown: str, owner: str = tenant) -> str:
        result = ScrapeResult(pages=[page(url, markdown, title="T")], failed=[])
        task = finished(
            WorkerType.SCRAPE, result, id=f"{key}-{owner[:6]}-{number}", tenant=owner, finished_at=1_000 * number
        )
        await projector.project([(task, ())])
        return task.id

    await scrape(1, before)
    again = await scrape(2, before)
    assert await vectors.count(tenant) == 3 + 2  # the passages, and each task's page
    assert len(await points_of(embedded_qdrant, again)) == 4
    assert len(await points_of(embedded_qdrant, f"{key}-{tenant[:6]}-1")) == 1
    items = await Search(vectors, HashEmbedder(DIM)).query(tenant, "Passage of old")
    assert Counter(item.kind for item in items) == {"page": 1, "chunk": 3}
    assert {item.task_id for item in items} == {again}
    theirs = await scrape(1, before, f"rival-{key}")

    changed = await scrape(3, after)

    (query,) = await HashEmbedder(DIM).embed(["Passage of old"])
    hits = await vectors.search(tenant, "Passage of old", query)
    assert {hit.payload["version"] for hit in hits} == {page(url, after).content_hash}
    assert await vectors.count(tenant) == 3
    assert await vectors.count(f"rival-{key}") == 4
    assert len(await points_of(embedded_qdrant, theirs)) == 4
    found = await graph.neighbourhood(tenant, changed, 100)
    assert found is not None
    versions = [node for node in found.nodes if node.label == "Version"]
    assert {node.props["content_hash"]: node.props["seen_at"] for node in versions} == {
        page(url, before).content_hash: 2_000,
        page(url, after).content_hash: 3_000,
    }
    await closed(graph, vectors)


async def test_an_empty_vector_store_is_filled_from_the_graph(
    arcadedb: BoltEngine, embedded_qdrant: QdrantVectors
) -> None:
    graph, vectors = arcadedb.store(), embedded_qdrant.store(DIM)
    projector = Projector(graph, vectors, Embedder())
    await graph.prepare()
    await vectors.prepare()
    key = uuid4().hex
    words = "\n\n".join(f"Passage {number}. " + "word " * 150 for number in range(MAX_CONTENT_BYTES // 700))
    large = ScrapeResult(pages=[page(f"https://a.example/{key}", words, title="T")], failed=[])
    samples = [*SAMPLES, finished(WorkerType.SCRAPE, large)]
    tasks = [finished(task.type, task.result, id=f"{key}-{n}", input=task.input) for n, task in enumerate(samples)]
    await projector.project([(task, ()) for task in tasks])
    before = [await points_of(embedded_qdrant, task.id) for task in tasks]
    assert all(before)

    embedded_qdrant.clear()
    assert not await vectors.fits()
    steps = [step async for step in VectorRebuild(graph, vectors, projector).run()]

    after = [await points_of(embedded_qdrant, task.id) for task in tasks]
    assert after[:-1] == before[:-1]
    assert after[-1].keys() == before[-1].keys()  # the large one's, put together from its passages
    assert steps[-1].cut >= 1
    await closed(graph, vectors)


async def closed(graph: Neo4jStore, vectors: QdrantStore) -> None:
    await graph.close()
    await vectors.close()
