"""Use case: filling stores that lost their data: the vector store from the graph, both from the ledger."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic

import orjson

from codeforge.errors import OutboxFull
from codeforge.ledger.outbox_port import OutboxKeeper, Refill
from codeforge.logs import logger
from codeforge.projection import Projector
from codeforge.records import SearchText, records_of
from codeforge.records.question import question_of
from codeforge.records.refound import texts_of
from codeforge.records.restored import RestoredTask, restored_task
from codeforge.stores.ports import GraphStore, Node, VectorStore
from codeforge.task import Task

log = logger(__name__)

TASKS_PER_PAGE = 50
"""Task nodes read at a time; each may hold a result of 64 kB."""

MAX_NODES = 5_000
"""Nodes read of one task: more than it has texts."""

DRAIN_POLL_S = 1.0
STALLED_S = 120.0
"""A refill gives up when the projector got nothing done for so long."""


@dataclass(frozen=True, slots=True)
class VectorProgress:
    """How far it is: `tasks` read, `texts` written. `cut` tasks had results too large for their node: their texts
    were put together from what hangs on it. `rejected` are tasks that the vector store refused, or whose node is of
    another make."""

    tasks: int = 0
    texts: int = 0
    cut: int = 0
    rejected: int = 0


class VectorRebuild:
    """Fills the vector store from the graph's text. Points keep their ids, so it may be repeated, or run while results
    come in."""

    def __init__(self, graph: GraphStore, vectors: VectorStore, projector: Projector) -> None:
        self._graph = graph
        self._vectors = vectors
        self._projector = projector

    async def run(self) -> AsyncIterator[VectorProgress]:
        """A step per page of tasks. Raises GraphUnavailable, VectorsUnavailable and EmbeddingsUnavailable, and
        SettingsError for a collection that other settings made."""
        await self._vectors.prepare()
        progress = VectorProgress()
        after = ""
        while nodes := await self._graph.tasks(after, TASKS_PER_PAGE):
            after = nodes[-1].id
            progress = await self._write(nodes, progress)
            yield progress

    async def _write(self, nodes: Sequence[Node], progress: VectorProgress) -> VectorProgress:
        tasks = list(_restored(nodes))
        whole = [_is_whole(task) for task in tasks]
        texts = [
            (task.task, await (_own_texts(task.task) if fits else self._found_texts(task.task)))
            for task, fits in zip(tasks, whole, strict=True)
        ]
        rejected = await self._projector.write_texts(texts)
        for task_id, reason in rejected.items():
            log.error("row_rejected", task_id=task_id, reason=reason)
        return VectorProgress(
            progress.tasks + len(nodes),
            progress.texts + sum(len(found) for task, found in texts if task.id not in rejected),
            progress.cut + whole.count(False),
            progress.rejected + len(rejected) + len(nodes) - len(tasks),
        )

    async def _found_texts(self, task: Task) -> Sequence[SearchText]:
        found = await self._graph.neighbourhood(task.tenant, task.id, MAX_NODES)
        return [] if found is None else await asyncio.to_thread(texts_of, task.id, _question(task), found)


def _restored(nodes: Sequence[Node]) -> Iterator[RestoredTask]:
    for node in nodes:
        try:
            yield restored_task(node)
        except ValueError as error:
            log.error("task_not_readable", task_id=node.id, error=str(error))


async def _own_texts(task: Task) -> Sequence[SearchText]:
    """Those of a task whose node holds all of it: exactly what the projector wrote."""
    return (await asyncio.to_thread(records_of, task, ())).texts


def _is_whole(restored: RestoredTask) -> bool:
    """Whether result and input are as they were; an input that was cut is no JSON any more."""
    return not restored.result_truncated and _is_object(restored.task.input)


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def _question(task: Task) -> str:
    return question_of(task) if _is_object(task.input) else ""


class GraphRebuild:
    """Has the projector write again, to both stores, every result that the ledger still keeps."""

    def __init__(self, keeper: OutboxKeeper, max_bytes: int) -> None:
        """`max_bytes` is the outbox's limit, of which the refill leaves half to new results; 0 is no limit."""
        self._keeper = keeper
        self._max_bytes = max_bytes

    async def run(self) -> AsyncIterator[Refill]:
        """A step per some hundred tasks. Raises LedgerUnavailable, and OutboxFull when no projector makes room."""
        async for step in self._keeper.refill():
            yield step
            await self._room()

    async def _room(self) -> None:
        """Waits until half of the outbox's limit is free. Raises OutboxFull."""
        least, since = float("inf"), monotonic()
        while self._max_bytes and (held := (await self._keeper.state()).bytes) > self._max_bytes // 2:
            if held < least:
                least, since = held, monotonic()
            if monotonic() - since > STALLED_S:
                raise OutboxFull(f"the outbox did not shrink within {STALLED_S:g} s: is a projector running?")
            await asyncio.sleep(DRAIN_POLL_S)
