"""The projector: batches of finished tasks into both stores."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from codeforge.errors import EmbeddingsUnavailable, GraphUnavailable, RowRejected, VectorsUnavailable
from codeforge.projection import TEXTS_PER_CALL, ProjectionReport, Projector
from codeforge.records.task import merged
from codeforge.results import ScrapeResult
from codeforge.stores.ports import GraphBatch, Hit, Node, PageVersion, Point
from codeforge.task import ModelCall, Task
from codeforge.worker_types import WorkerType
from tests.patience import PATIENCE_S
from tests.unit.records.samples import finished, page

CALLS = (ModelCall("plan", "m", 10, 20, 0.5, 1_200),)


@dataclass
class Graph:
    """Merges what it is given; refuses a batch with one of the tasks in `refuses`; `fails` is raised first."""

    refuses: set[str] = field(default_factory=set)
    fails: list[Exception] = field(default_factory=list)
    content: GraphBatch = field(default_factory=lambda: GraphBatch([], []))
    writes: list[GraphBatch] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    waits_for: asyncio.Event | None = None

    async def write(self, batch: GraphBatch) -> None:
        self.writes.append(batch)
        self.started.set()
        if self.waits_for is not None:
            await asyncio.wait_for(self.waits_for.wait(), PATIENCE_S)
        if self.fails:
            raise self.fails.pop(0)
        if self.refuses & {node.id for node in batch.nodes}:
            raise RowRejected("a row is not taken")
        self.content = merged([self.content, batch])

    async def prepare(self) -> None: ...

    async def neighbourhood(self, tenant: str, task_id: str, limit: int) -> GraphBatch | None: ...

    async def trail(self, tenant: str, claim_id: str, limit: int) -> GraphBatch | None: ...

    async def tasks(self, after: str, limit: int) -> Sequence[Node]:
        return []

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


@dataclass
class Vectors:
    """Keeps points by id; refuses and fails as Graph does."""

    refuses: set[str] = field(default_factory=set)
    fails: list[Exception] = field(default_factory=list)
    points: dict[str, Point] = field(default_factory=dict)
    writes: list[Sequence[Point]] = field(default_factory=list)
    forgotten: list[PageVersion] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    waits_for: asyncio.Event | None = None

    async def upsert(self, points: Sequence[Point]) -> None:
        self.writes.append(points)
        self.started.set()
        if self.waits_for is not None:
            await asyncio.wait_for(self.waits_for.wait(), PATIENCE_S)
        if self.fails:
            raise self.fails.pop(0)
        if self.refuses & {point.payload["task_id"] for point in points}:
            raise RowRejected("a point is not taken")
        self.points |= {point.id: point for point in points}

    async def forget_older(self, versions: Sequence[PageVersion]) -> None:
        self.forgotten += versions

    async def search(self, tenant: str, text: str, vector: Sequence[float], **_: object) -> list[Hit]:
        return []

    async def answering(self, tenant: str, keys: Sequence[str], since: int, limit: int) -> list[str]:
        return []

    async def count(self, tenant: str | None = None) -> int:
        return len(self.points)

    async def prepare(self) -> None: ...

    async def fits(self) -> bool:
        return True

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


@dataclass
class Embedder:
    """One number a text: its length."""

    fails: list[Exception] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    dim: int = 1

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.calls.append(len(texts))
        if self.fails:
            raise self.fails.pop(0)
        return [[float(len(text))] for text in texts]

    async def close(self) -> None: ...


@dataclass
class Stores:
    graph: Graph = field(default_factory=Graph)
    vectors: Vectors = field(default_factory=Vectors)
    embedder: Embedder = field(default_factory=Embedder)

    def project(self, *tasks: Task) -> ProjectionReport:
        projector = Projector(self.graph, self.vectors, self.embedder)
        return asyncio.run(projector.project([(task, CALLS) for task in tasks]))

    def task_ids(self) -> set[str]:
        return {node.id for node in self.graph.content.nodes if node.label == "Task"}


def scraped(name: str, markdown: str = "Some text.", **fields: object) -> Task:
    result = ScrapeResult(pages=[page(f"https://a.example/{name}", markdown)], failed=[])
    return finished(WorkerType.SCRAPE, result, id=name, **fields)


def test_a_batch_is_one_graph_write_and_one_vector_write() -> None:
    stores = Stores()

    report = stores.project(*(scraped(f"t{number}") for number in range(50)))

    assert len(stores.graph.writes) == len(stores.vectors.writes) == len(stores.embedder.calls) == 1
    assert report.stored == tuple(f"t{number}" for number in range(50))
    assert report.rejected == ()
    assert (report.nodes, report.edges, report.texts) == (250, 200, 50)
    assert set(report.seconds) == {"graph", "vectors", "embeddings"}
    assert all(seconds >= 0 for seconds in report.seconds.values())


def test_every_point_has_the_vector_of_its_own_text() -> None:
    stores = Stores()

    stores.project(scraped("one", "Short."), scraped("two", "Rather a bit longer."))

    assert len(stores.vectors.points) == 2
    for point in stores.vectors.points.values():
        assert point.vector == [float(len(point.payload["text"]))]
        assert point.payload["url"] == f"https://a.example/{point.payload['task_id']}"


def test_rows_that_several_tasks_share_are_written_once() -> None:
    stores = Stores()
    first = scraped("one")

    stores.project(first, replace(first, id="two"))

    (write,) = stores.graph.writes
    assert [node.label for node in write.nodes].count("Document") == 1
    assert len({(edge.type, edge.start, edge.end) for edge in write.edges}) == len(write.edges)


def test_of_each_page_the_newest_version_stays() -> None:
    stores = Stores()
    older = scraped("one", "Before.", finished_at=1_000)
    newer = replace(scraped("one", "After.", finished_at=2_000), id="two")

    stores.project(newer, older)

    (kept,) = stores.vectors.forgotten
    assert (kept.tenant, kept.fetched_at) == ("acme", 2_000)
    assert kept.version == page("x", "After.").content_hash


def test_writing_a_batch_again_changes_nothing() -> None:
    stores = Stores()
    tasks = [scraped("one"), scraped("two")]
    stores.project(*tasks)
    content, points = stores.graph.content, dict(stores.vectors.points)

    stores.project(*tasks)

    assert stores.graph.content == content
    assert stores.vectors.points == points


def test_of_a_task_that_is_there_twice_the_later_counts() -> None:
    stores = Stores()

    report = stores.project(scraped("one", "Before."), scraped("two"), scraped("one", "After.", attempts=2))

    assert report.stored == ("one", "two")
    assert not any("Before" in point.payload["text"] for point in stores.vectors.points.values())


def test_many_texts_are_embedded_and_written_some_at_a_time() -> None:
    stores = Stores()
    markdown = "\n\n".join(f"{number} " + "words " * 140 for number in range(TEXTS_PER_CALL))

    report = stores.project(scraped("one", markdown), scraped("two", markdown))

    assert report.texts == len(stores.vectors.points) > 2 * TEXTS_PER_CALL
    assert sum(stores.embedder.calls) == report.texts
    assert max(stores.embedder.calls) == max(len(points) for points in stores.vectors.writes) == TEXTS_PER_CALL


def test_the_stores_are_written_at_the_same_time() -> None:
    async def run() -> ProjectionReport:
        graph, vectors = Graph(), Vectors()
        graph.waits_for, vectors.waits_for = vectors.started, graph.started
        return await Projector(graph, vectors, Embedder()).project([(scraped("one"), CALLS)])

    assert asyncio.run(run()).stored == ("one",)


@pytest.mark.parametrize("store", ["graph", "vectors"])
def test_a_task_that_a_store_refuses_is_told_and_the_others_are_stored(store: str) -> None:
    stores = Stores()
    getattr(stores, store).refuses |= {"t3", "t12"}

    report = stores.project(*(scraped(f"t{number}") for number in range(16)))

    good = {f"t{number}" for number in range(16)} - {"t3", "t12"}
    assert set(report.stored) == good
    reason = "a row is not taken" if store == "graph" else "a point is not taken"
    assert dict(report.rejected) == {"t3": f"{store}: {reason}", "t12": f"{store}: {reason}"}
    assert good <= stores.task_ids()
    assert good <= {point.payload["task_id"] for point in stores.vectors.points.values()}


def test_a_store_that_refuses_is_asked_a_logarithmic_number_of_times_and_the_other_once() -> None:
    stores = Stores()
    stores.graph.refuses = {"t40"}

    stores.project(*(scraped(f"t{number}") for number in range(64)))

    assert len(stores.graph.writes) == 1 + 2 * 6
    assert len(stores.vectors.writes) == 1


def test_a_batch_that_is_refused_whole_is_told_task_by_task() -> None:
    stores = Stores()
    stores.graph.refuses = stores.vectors.refuses = {"one", "two"}

    report = stores.project(scraped("one"), scraped("two"))

    assert report.stored == ()
    assert [task_id for task_id, _ in report.rejected] == ["one", "two"]


def test_a_task_without_a_result_needs_no_vectors() -> None:
    stores = Stores()

    report = stores.project(finished(WorkerType.CODING, None, id="one"))

    assert report.stored == ("one",)
    assert stores.embedder.calls == []
    assert stores.vectors.writes == []


def test_an_empty_batch_touches_nothing() -> None:
    stores = Stores()

    report = stores.project()

    assert (report.stored, report.rejected) == ((), ())
    assert stores.graph.writes == []


@pytest.mark.parametrize(
    ("arrange", "error"),
    [
        (lambda stores: stores.graph.fails.append(GraphUnavailable("down")), GraphUnavailable),
        (lambda stores: stores.vectors.fails.append(VectorsUnavailable("down")), VectorsUnavailable),
        (lambda stores: stores.embedder.fails.append(EmbeddingsUnavailable("down")), EmbeddingsUnavailable),
    ],
)
def test_an_outage_is_the_caller_s_to_wait_out_and_the_same_batch_then_goes_through(
    arrange: Callable[[Stores], None], error: type[Exception]
) -> None:
    stores = Stores()
    arrange(stores)
    tasks = [scraped("one"), scraped("two")]

    with pytest.raises(error):
        stores.project(*tasks)
    report = stores.project(*tasks)

    assert report.stored == ("one", "two")
    assert stores.task_ids() == {"one", "two"}
    assert len(stores.vectors.points) == 2


def test_an_outage_of_one_store_waits_for_the_other_s_write() -> None:
    async def run() -> int:
        graph, vectors = Graph(fails=[GraphUnavailable("down")]), Vectors()
        vectors.waits_for = graph.started
        with pytest.raises(GraphUnavailable):
            await Projector(graph, vectors, Embedder()).project([(scraped("one"), CALLS)])
        return len(vectors.points)

    assert asyncio.run(run()) == 1


def test_an_outage_while_halving_is_no_rejection() -> None:
    stores = Stores()
    stores.graph.fails = [RowRejected("a row is not taken"), GraphUnavailable("down")]

    with pytest.raises(GraphUnavailable):
        stores.project(scraped("one"), scraped("two"))
