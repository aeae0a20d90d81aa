"""The projection use case: finished tasks into the graph and into search."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter, time_ns
from typing import TypeVar

from codeforge.errors import RowRejected
from codeforge.records import SearchText, TaskRecords, records_of
from codeforge.records.task import merged
from codeforge.stores.ports import Embedder, GraphBatch, GraphStore, PageVersion, Point, VectorStore
from codeforge.task import ModelCall, Task

TEXTS_PER_CALL = 500
"""Texts that are embedded and written at once, in one request: 500 vectors of 256 numbers are some 2 MB of JSON."""

GRAPH = "graph"
VECTORS = "vectors"
EMBEDDINGS = "embeddings"


@dataclass(frozen=True, slots=True)
class ProjectionReport:
    """What became of a batch. `stored` are the ids of tasks that are in both stores; `rejected` are (task id, reason)
    of those that a store will never take; a reason begins with the store, as in `graph: too deep`. `seconds` were spent
    per part (`graph`, `vectors`, `embeddings`); the graph is written while the other two are at work, and `times` are
    when each was begun and ended last, in nanoseconds since the epoch. `nodes`, `edges` and `texts` are how many the
    batch came to."""

    stored: tuple[str, ...]
    rejected: tuple[tuple[str, str], ...]
    seconds: Mapping[str, float]
    times: Mapping[str, tuple[int, int]]
    nodes: int
    edges: int
    texts: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """One task of a batch with its records."""

    task: Task
    records: TaskRecords


Batch = Sequence[tuple[Task, Sequence[ModelCall]]]
"""Finished tasks, each with its model calls."""

_T = TypeVar("_T")
_Write = Callable[[Sequence[_Entry]], Awaitable[None]]
_Reasons = dict[str, str]
"""Why a store will never take a task, by task id."""


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """A batch's records, which only its projector needs to know."""

    entries: Sequence[_Entry]


class Projector:
    """Writes finished tasks to both stores, many at a time. Writing a task again changes nothing."""

    def __init__(self, graph: GraphStore, vectors: VectorStore, embedder: Embedder) -> None:
        self._graph = graph
        self._vectors = vectors
        self._embedder = embedder

    async def project(self, batch: Batch) -> ProjectionReport:
        """Both steps at once: `prepare` and `write`."""
        return await self.write(await self.prepare(batch))

    async def prepare(self, batch: Batch) -> PreparedBatch:
        """What the batch comes to; of a task that is in it twice, the later one counts."""
        # Parsing and cutting takes milliseconds a page, which the loop's leases and heartbeats need not wait for.
        return PreparedBatch(await asyncio.to_thread(_entries, batch))

    async def write(self, prepared: PreparedBatch) -> ProjectionReport:
        """Writes the batch to both stores.

        A store that refuses a write for what is in it gets the batch in halves, down to the task that it does not
        take; the other store is not asked again. Raises GraphUnavailable, VectorsUnavailable or EmbeddingsUnavailable
        when a part cannot be reached: part of the batch may be written then, and the caller projects it again.
        """
        entries = prepared.entries
        run = _Run(self._graph, self._vectors, self._embedder)
        by_graph, by_vectors = await _both(
            _bisected(run.write_graph, entries, GRAPH), _bisected(run.write_vectors, entries, VECTORS)
        )
        reasons = by_vectors | by_graph
        return ProjectionReport(
            stored=tuple(entry.task.id for entry in entries if entry.task.id not in reasons),
            rejected=tuple(reasons.items()),
            seconds=run.seconds,
            times=run.times,
            nodes=sum(len(entry.records.graph.nodes) for entry in entries),
            edges=sum(len(entry.records.graph.edges) for entry in entries),
            texts=sum(len(entry.records.texts) for entry in entries),
        )

    async def write_texts(self, texts: Sequence[tuple[Task, Sequence[SearchText]]]) -> Mapping[str, str]:
        """Writes tasks' texts to the vector store alone; answers why it will never take a task's, by task id.

        Raises VectorsUnavailable or EmbeddingsUnavailable.
        """
        entries = [_Entry(task, TaskRecords(GraphBatch([], []), found)) for task, found in texts]
        return await _bisected(_Run(self._graph, self._vectors, self._embedder).write_vectors, entries, VECTORS)


class _Run:
    """The writes of one batch, and the time that they took."""

    def __init__(self, graph: GraphStore, vectors: VectorStore, embedder: Embedder) -> None:
        self._graph = graph
        self._vectors = vectors
        self._embedder = embedder
        self.seconds = {GRAPH: 0.0, VECTORS: 0.0, EMBEDDINGS: 0.0}
        self.times: dict[str, tuple[int, int]] = {}

    async def write_graph(self, entries: Sequence[_Entry]) -> None:
        """One merged batch. Raises RowRejected and GraphUnavailable."""
        batch = merged([entry.records.graph for entry in entries])
        await self._timed(GRAPH, self._graph.write(batch))

    async def write_vectors(self, entries: Sequence[_Entry]) -> None:
        """Every text of the entries, some hundred at a time whatever task they belong to. Raises RowRejected,
        VectorsUnavailable and EmbeddingsUnavailable."""
        texts = [(entry.task, text) for entry in entries for text in entry.records.texts]
        for start in range(0, len(texts), TEXTS_PER_CALL):
            part = texts[start : start + TEXTS_PER_CALL]
            vectors = await self._timed(EMBEDDINGS, self._embedder.embed([text.text for _, text in part]))
            points = [_point(task, text, vector) for (task, text), vector in zip(part, vectors, strict=True)]
            await self._timed(VECTORS, self._vectors.upsert(points))
        if versions := _versions(texts):
            await self._timed(VECTORS, self._vectors.forget_older(versions))

    async def _timed(self, part: str, call: Awaitable[_T]) -> _T:
        start, begun_ns = perf_counter(), time_ns()
        try:
            return await call
        finally:
            self.seconds[part] += perf_counter() - start
            self.times[part] = self.times.get(part, (begun_ns, 0))[0], time_ns()


def _entries(batch: Batch) -> list[_Entry]:
    latest = {task.id: (task, calls) for task, calls in batch}
    return [_Entry(task, records_of(task, calls)) for task, calls in latest.values()]


def _versions(texts: Sequence[tuple[Task, SearchText]]) -> list[PageVersion]:
    """Of each document the newest version among the texts."""
    newest: dict[str, PageVersion] = {}
    for task, text in texts:
        if (page := text.page) is not None:
            held = newest.get(page.document)
            if held is None or held.fetched_at <= page.fetched_at:
                newest[page.document] = PageVersion(task.tenant, page.document, page.version, page.fetched_at)
    return list(newest.values())


def _point(task: Task, text: SearchText, vector: Sequence[float]) -> Point:
    return Point(text.id, vector, text.payload(task))


async def _bisected(write: _Write, entries: Sequence[_Entry], store: str) -> _Reasons:
    """Writes the entries, in halves where they are refused, and returns those that are refused alone."""
    if not entries:
        return {}
    try:
        await write(entries)
    except RowRejected as refusal:
        if len(entries) == 1:
            return {entries[0].task.id: f"{store}: {refusal.message}"}
        middle = len(entries) // 2
        return await _bisected(write, entries[:middle], store) | await _bisected(write, entries[middle:], store)
    return {}


async def _both(first: Awaitable[_Reasons], second: Awaitable[_Reasons]) -> tuple[_Reasons, _Reasons]:
    """Both results once both have ended, or the first one's error: no write is left running behind the caller."""
    one, two = await asyncio.gather(first, second, return_exceptions=True)
    if isinstance(one, BaseException):
        raise one
    if isinstance(two, BaseException):
        raise two
    return one, two
