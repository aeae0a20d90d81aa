"""The projector's turns: what the stores take, cannot take now, and will never take."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import pytest
from structlog.testing import capture_logs

from codeforge.background import Background
from codeforge.errors import (
    CodeForgeError,
    EmbeddingsUnavailable,
    GraphUnavailable,
    LedgerUnavailable,
    RowRejected,
    VectorsUnavailable,
)
from codeforge.ledger.memory import MemoryLedger
from codeforge.ledger.port import OutboxEntry, Outcome, WorkerRecord
from codeforge.projection import Projector
from codeforge.projector_loop import OWNERSHIP_S, ProjectorLoop
from codeforge.stores.memory_graph import MemoryGraphStore
from codeforge.stores.memory_vectors import HashEmbedder, MemoryVectorStore
from codeforge.stores.ports import GraphBatch, Point
from codeforge.worker_types import WorkerType
from tests.factories import new_task
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.anyio

RESULT = (
    b'{"pages":[{"url":"https://example.org/","final_url":"https://example.org/","status_code":200,'
    b'"title":"T","markdown":"The cat sat on the mat.","links":[],"content_hash":"00"}],"failed":[]}'
)


class Graph(MemoryGraphStore):
    """Counts preparations; refuses what the test names."""

    def __init__(self) -> None:
        super().__init__()
        self.prepared = 0
        self.refused: set[str] = set()

    async def prepare(self) -> None:
        await super().prepare()
        self.prepared += 1

    async def write(self, batch: GraphBatch) -> None:
        if self.refused & {node.id for node in batch.nodes}:
            raise RowRejected("not this one")
        await super().write(batch)


class Vectors(MemoryVectorStore):
    """Raises what the test gives it, once."""

    error: CodeForgeError | None = None

    async def upsert(self, points: Sequence[Point]) -> None:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        await super().upsert(points)


class Embedder(HashEmbedder):
    """Raises what the test gives it, once."""

    error: CodeForgeError | None = None

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return await super().embed(texts)


class Stage:
    """A projector on the ledger in memory."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.ledger = MemoryLedger(clock_ms=lambda: self.now, partitions=2)
        self.graph, self.vectors, self.embedder = Graph(), Vectors(16), Embedder(16)
        self.loop = self.another()

    def another(self) -> ProjectorLoop:
        projector = Projector(self.graph, self.vectors, self.embedder)
        return ProjectorLoop(self.ledger, projector, self.ledger, self.graph, self.vectors, Background("test", None))

    async def finished(self, count: int = 1) -> list[str]:
        """Tasks whose results await their projection."""
        tasks = [new_task() for _ in range(count)]
        await self.ledger.submit(tasks)
        await self.ledger.renew_lease(WorkerRecord("w", list(WorkerType), 10))
        for task in tasks:
            claimed = await self.ledger.claim(task.id, "w", "c")
            assert claimed is not None
            await self.ledger.finish(claimed.claim, Outcome("succeeded", result=RESULT))
        return [task.id for task in tasks]

    async def stored(self, task_id: str) -> bool:
        return (await self.ledger.get("acme", task_id)).stored

    @property
    def waiting(self) -> int:
        return sum(len(entries) for entries in self.ledger.outbox)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr("codeforge.projector_loop.WAIT_S", 0.001)
    monkeypatch.setattr("codeforge.projector_loop.TURN_S", PATIENCE_S)
    return Stage()


async def test_batch_is_stored_settled_and_counted(stage: Stage) -> None:
    ids = await stage.finished(5)
    await stage.loop.turn()
    assert [await stage.stored(task_id) for task_id in ids] == [True] * 5
    assert {("Task", task_id) for task_id in ids} <= set(stage.graph.nodes)
    assert await stage.vectors.count("acme") > 0
    assert stage.waiting == 0
    counters = stage.ledger.counters
    assert (counters["batch:count"], counters["batch:tasks"]) == (1, 5)
    stores = {name.split(":")[2] for name in counters if name.startswith("hist:projection:")}
    assert stores == {"graph", "vectors", "embeddings"}


async def test_batches_follow_each_other_in_one_turn_and_each_is_settled(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codeforge.projector_loop.MAX_ENTRIES", 2)
    ids = await stage.finished(5)
    await stage.loop.turn()
    assert [await stage.stored(task_id) for task_id in ids] == [True] * 5
    assert (stage.ledger.counters["batch:count"], stage.ledger.counters["batch:tasks"]) == (3, 5)


async def test_batches_before_the_one_that_fails_stay_settled(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.projector_loop.MAX_ENTRIES", 2)
    await stage.finished(5)
    writes = 0
    write = stage.graph.write

    async def failing(batch: GraphBatch) -> None:
        nonlocal writes
        writes += 1
        stage.graph.down = writes == 2
        try:
            await write(batch)
        finally:
            stage.graph.down = False

    monkeypatch.setattr(stage.graph, "write", failing)
    with pytest.raises(GraphUnavailable):
        await stage.loop.turn()
    assert stage.waiting == 3
    await stage.loop.turn()
    assert (stage.waiting, stage.ledger.counters["batch:tasks"]) == (0, 5)


async def test_a_batch_is_settled_while_the_next_one_is_written(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.projector_loop.MAX_ENTRIES", 2)
    await stage.finished(4)
    second, writes = asyncio.Event(), 0
    write, settle = stage.graph.write, stage.ledger.settle

    async def writing(batch: GraphBatch) -> None:
        nonlocal writes
        writes += 1
        if writes == 2:
            second.set()
        await write(batch)

    async def settling(entries: Sequence[OutboxEntry], rejected: Mapping[str, str]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await second.wait()
        await settle(entries, rejected)

    monkeypatch.setattr(stage.graph, "write", writing)
    monkeypatch.setattr(stage.ledger, "settle", settling)
    await stage.loop.turn()
    assert (stage.waiting, stage.ledger.counters["batch:tasks"]) == (0, 4)


async def test_what_is_written_is_settled_when_the_next_batch_cannot_be_read(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codeforge.projector_loop.MAX_ENTRIES", 2)
    await stage.finished(4)
    read = stage.ledger.read

    async def reading(
        partitions: Sequence[int], max_entries: int, max_bytes: int, behind: Sequence[OutboxEntry] = ()
    ) -> Sequence[OutboxEntry]:
        if behind:
            raise LedgerUnavailable("away")
        return await read(partitions, max_entries, max_bytes, behind)

    monkeypatch.setattr(stage.ledger, "read", reading)
    with pytest.raises(LedgerUnavailable):
        await stage.loop.turn()
    assert stage.waiting == 2


async def test_partitions_are_shared_anew_when_the_turn_is_over(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.projector_loop.MAX_ENTRIES", 2)
    monkeypatch.setattr("codeforge.projector_loop.TURN_S", 0.0)
    await stage.finished(5)
    await stage.loop.turn()
    assert stage.waiting == 3


async def test_a_bug_in_keeping_the_ownership_ends_the_turn(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    died = asyncio.Event()

    async def renew(*_: object) -> None:
        died.set()
        raise RuntimeError("a bug")

    async def embed(texts: Sequence[str]) -> list[list[float]]:
        async with asyncio.timeout(PATIENCE_S):
            await died.wait()
        return await HashEmbedder(16).embed(texts)

    monkeypatch.setattr("codeforge.projector_loop.OWNERSHIP_S", 0.003)
    monkeypatch.setattr(stage.ledger, "renew", renew)
    monkeypatch.setattr(stage.embedder, "embed", embed)
    await stage.finished()
    with pytest.raises(RuntimeError, match="a bug"):
        await stage.loop.turn()


async def test_stores_are_prepared_once_and_before_there_is_anything_to_write(stage: Stage) -> None:
    stage.graph.down = True
    with pytest.raises(GraphUnavailable):
        await stage.loop.turn()
    stage.graph.down = False
    await stage.loop.turn()
    assert stage.graph.prepared == 1
    for _ in range(2):
        await stage.finished()
        await stage.loop.turn()
    assert stage.graph.prepared == 1


async def test_stores_that_failed_are_prepared_again(stage: Stage) -> None:
    await stage.finished()
    await stage.loop.turn()
    for error in (VectorsUnavailable("away"), EmbeddingsUnavailable("away")):
        await stage.finished()
        stage.vectors.error = error
        with pytest.raises(type(error)):
            await stage.loop.turn()
        await stage.loop.turn()
    assert stage.graph.prepared == 2
    assert stage.waiting == 0


async def test_a_collection_that_is_made_although_there_are_results_is_told(stage: Stage) -> None:
    async def told(loop: ProjectorLoop) -> list[str]:
        """What a new projector's first turn logs."""
        with capture_logs() as lines:
            await loop.turn()
        await loop.release()
        return [line["event"] for line in lines]

    await stage.finished()
    assert await told(stage.loop) == []
    assert await told(stage.another()) == []
    stage.vectors = Vectors(16)
    assert await told(stage.another()) == ["collection_was_missing"]
    assert await told(stage.another()) == []


def fail_graph(stage: Stage) -> None:
    stage.graph.down = True


def fail_vectors(stage: Stage) -> None:
    stage.vectors.error = VectorsUnavailable("away")


def fail_embeddings(stage: Stage) -> None:
    stage.embedder.error = EmbeddingsUnavailable("away")


@pytest.mark.parametrize(
    ("fail", "error", "store"),
    [
        (fail_graph, GraphUnavailable, "graph"),
        (fail_vectors, VectorsUnavailable, "vectors"),
        (fail_embeddings, EmbeddingsUnavailable, "embeddings"),
    ],
)
async def test_store_that_is_down_delays_results_and_loses_none(
    stage: Stage, fail: Callable[[Stage], None], error: type[Exception], store: str
) -> None:
    (task_id,) = await stage.finished()
    fail(stage)
    with pytest.raises(error):
        await stage.loop.turn()
    assert (stage.waiting, await stage.stored(task_id)) == (1, False)
    assert stage.ledger.counters[f"store_errors:{store}"] == 1
    stage.graph.down = False
    await stage.loop.turn()
    assert (stage.waiting, await stage.stored(task_id)) == (0, True)


async def test_row_that_no_store_takes_goes_to_the_dead_letters_alone(stage: Stage) -> None:
    bad, *good = await stage.finished(4)
    stage.graph.refused = {bad}
    with capture_logs() as logs:
        await stage.loop.turn()
    assert [await stage.stored(task_id) for task_id in (bad, *good)] == [False, True, True, True]
    assert stage.ledger.dead_letters == {bad: "graph: not this one"}
    assert (stage.waiting, stage.ledger.counters["store_errors:graph"]) == (0, 1)
    assert [(entry["event"], entry["task_id"]) for entry in logs] == [("row_rejected", bad)]


async def test_entry_of_a_replayed_task_is_settled_and_nothing_is_written(stage: Stage) -> None:
    task = new_task()
    await stage.ledger.submit([task])
    await stage.ledger.cancel("acme", task.id)
    await stage.ledger.replay("acme", task.id)
    await stage.loop.turn()
    assert (stage.waiting, await stage.stored(task.id)) == (0, False)
    assert stage.graph.nodes == {}
    assert not any(name.startswith(("batch:", "hist:projection:")) for name in stage.ledger.counters)


async def test_partition_has_one_owner_until_it_is_released(stage: Stage) -> None:
    other = stage.another()
    await other.turn()
    await stage.finished()
    await stage.loop.turn()
    assert stage.waiting == 1
    await other.release()
    await stage.loop.turn()
    assert stage.waiting == 0


async def test_owner_that_is_gone_is_followed_when_its_time_is_over(stage: Stage) -> None:
    await stage.another().turn()
    await stage.finished()
    stage.now += int(OWNERSHIP_S * 1000)
    await stage.loop.turn()
    assert stage.waiting == 0


async def test_release_without_a_ledger_is_left_to_time(stage: Stage) -> None:
    await stage.loop.turn()
    stage.ledger.down = True
    with capture_logs() as logs:
        await stage.loop.release()
    assert [entry["event"] for entry in logs] == ["partitions_not_released"]


async def test_ownership_is_renewed_while_a_batch_takes_long(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.projector_loop.OWNERSHIP_S", 0.03)
    await stage.finished()
    renewed, release = asyncio.Event(), asyncio.Event()
    renew = stage.ledger.renew

    async def watched(owner: str, ttl_s: float) -> None:
        if release.is_set():
            renewed.set()
        await renew(owner, ttl_s)

    async def embed(texts: Sequence[str]) -> list[list[float]]:
        release.set()
        async with asyncio.timeout(PATIENCE_S):
            await renewed.wait()
        return [[1.0] * 16 for _ in texts]

    monkeypatch.setattr(stage.ledger, "renew", watched)
    monkeypatch.setattr(stage.embedder, "embed", embed)
    await stage.loop.turn()
    assert stage.waiting == 0
