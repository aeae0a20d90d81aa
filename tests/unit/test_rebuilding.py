"""Filling stores that lost their data."""

from collections.abc import Sequence

import pytest

from codeforge.errors import OutboxFull
from codeforge.ledger.memory import MemoryLedger
from codeforge.ledger.port import Outcome, WorkerRecord
from codeforge.projection import Projector
from codeforge.rebuilding import GraphRebuild, VectorProgress, VectorRebuild
from codeforge.records.model import MAX_CONTENT_BYTES
from codeforge.records.task import MAX_INPUT_BYTES
from codeforge.results import ScrapeResult
from codeforge.stores.memory_graph import MemoryGraphStore
from codeforge.stores.memory_vectors import HashEmbedder, MemoryVectorStore
from codeforge.stores.ports import GraphBatch, Node
from codeforge.task import Task
from codeforge.worker_types import WorkerType
from tests.factories import new_task
from tests.unit.records.samples import finished, page
from tests.unit.records.test_task_records import SAMPLES

pytestmark = pytest.mark.anyio

DIM = 16


class Stores:
    """A graph, and a vector store that can be emptied."""

    def __init__(self) -> None:
        self.graph, self.embedder = MemoryGraphStore(), HashEmbedder(DIM)
        self.vectors = MemoryVectorStore(DIM)

    @property
    def projector(self) -> Projector:
        return Projector(self.graph, self.vectors, self.embedder)

    async def rebuilt(self) -> list[VectorProgress]:
        """The vector store is lost, and filled again."""
        self.vectors = MemoryVectorStore(DIM)
        return [step async for step in VectorRebuild(self.graph, self.vectors, self.projector).run()]

    async def texts(self, tenant: str = "acme") -> set[tuple[str, str]]:
        hits = await self.vectors.search(tenant, "x", [1.0] * DIM, limit=10_000)
        return {(hit.id, repr(sorted(hit.payload.items(), key=str))) for hit in hits}


def named(tasks: Sequence[Task]) -> list[Task]:
    """With ids of their own."""
    return [finished(task.type, task.result, id=f"{number:04}", input=task.input) for number, task in enumerate(tasks)]


async def test_an_empty_vector_store_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.rebuilding.TASKS_PER_PAGE", 3)
    stores = Stores()
    tasks = named(SAMPLES)
    await stores.projector.project([(task, ()) for task in tasks])
    before = await stores.texts()
    steps = await stores.rebuilt()
    assert await stores.texts() == before
    assert [step.tasks for step in steps] == [3, 4]
    assert steps[-1] == VectorProgress(tasks=4, texts=len(before), cut=0, rejected=0)
    again = [step async for step in VectorRebuild(stores.graph, stores.vectors, stores.projector).run()]
    assert (again[-1].texts, await stores.texts()) == (len(before), before)


async def test_a_result_that_the_node_does_not_hold_is_put_together_from_its_pages() -> None:
    stores = Stores()
    words = "\n\n".join(f"Passage {number}. " + "word " * 150 for number in range(MAX_CONTENT_BYTES // 700))
    large = finished(WorkerType.SCRAPE, ScrapeResult(pages=[page("https://a.example/", words, title="T")], failed=[]))
    await stores.projector.project([(large, ())])
    before = await stores.texts()
    (step,) = await stores.rebuilt()
    assert (step.cut, step.texts) == (1, len(before))
    assert {text_id for text_id, _ in await stores.texts()} == {text_id for text_id, _ in before}


async def test_an_input_that_was_cut_costs_a_title_and_no_text() -> None:
    stores = Stores()
    (analysis,) = (task for task in SAMPLES if task.type is WorkerType.ANALYSIS)
    asked = b'{"question":"%s"}' % (b"why " * MAX_INPUT_BYTES)
    await stores.projector.project([(finished(WorkerType.ANALYSIS, analysis.result, input=asked), ())])
    before = await stores.texts()
    (step,) = await stores.rebuilt()
    assert (step.cut, step.rejected) == (1, 0)
    assert {text_id for text_id, _ in await stores.texts()} == {text_id for text_id, _ in before}


async def test_a_node_of_another_make_is_counted_and_passed_over() -> None:
    stores = Stores()
    await stores.projector.project([(task, ()) for task in named(SAMPLES[:1])])
    await stores.graph.write(GraphBatch([Node("Task", "odd", {"tenant": "acme", "type": "painting"})], []))
    (step,) = await stores.rebuilt()
    assert (step.tasks, step.rejected) == (2, 1)
    assert await stores.vectors.count("acme") == step.texts > 0


async def finished_in(ledger: MemoryLedger, count: int) -> None:
    await ledger.renew_lease(WorkerRecord("w", list(WorkerType), 10))
    for _ in range(count):
        task = new_task()
        await ledger.submit([task])
        claimed = await ledger.claim(task.id, "w", "c")
        assert claimed is not None
        await ledger.finish(claimed.claim, Outcome("succeeded", result=b'{"pages":[],"failed":[]}'))
    await ledger.settle(await ledger.read(range(4), count, 1 << 30), {})


async def test_every_result_that_the_ledger_keeps_waits_for_the_projector_again() -> None:
    ledger = MemoryLedger()
    await finished_in(ledger, 3)
    steps = [step async for step in GraphRebuild(ledger, max_bytes=1 << 20).run()]
    assert (steps[-1].seen, steps[-1].added) == (3, 3)
    assert (await ledger.state()).entries == 3


async def test_a_refill_waits_for_room_and_gives_up_when_nobody_makes_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.rebuilding.DRAIN_POLL_S", 0.001)
    ledger = MemoryLedger()
    await finished_in(ledger, 3)
    rebuild = GraphRebuild(ledger, max_bytes=10).run()
    await anext(rebuild)
    await ledger.settle(await ledger.read(range(4), 10, 1 << 30), {})  # a projector makes room
    with pytest.raises(StopAsyncIteration):
        await anext(rebuild)
    monkeypatch.setattr("codeforge.rebuilding.STALLED_S", 0.01)
    with pytest.raises(OutboxFull, match="projector"):
        _ = [step async for step in GraphRebuild(ledger, max_bytes=10).run()]
