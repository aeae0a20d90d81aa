"""The projector's loop: outbox -> stores -> settled. What a store cannot take now waits in the outbox."""

import asyncio
import os
import secrets
import socket
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from codeforge import tracing
from codeforge.background import Background
from codeforge.errors import EmbeddingsUnavailable, GraphUnavailable, LedgerUnavailable, VectorsUnavailable
from codeforge.ledger.port import Ledger, Outbox, OutboxEntry
from codeforge.logs import logger
from codeforge.metrics import observed
from codeforge.projection import PreparedBatch, ProjectionReport, Projector
from codeforge.stores.ports import GraphStore, VectorStore
from codeforge.task import Task
from codeforge.tracing import Attributes, Kind

log = logger(__name__)

OWNERSHIP_S = 15.0
MAX_ENTRIES = 400
MAX_BYTES = 8 * 1024 * 1024
"""Of a batch; three are in memory at the most: one being written, the one before until it is settled, and the next."""

TURN_S = 5.0
"""For how long batches follow each other before the partitions are shared anew among the projectors that live then."""

WAIT_S = 2.0

SYSTEMS = {"graph": "neo4j", "vectors": "qdrant"}
STORES = {GraphUnavailable: "graph", VectorsUnavailable: "vectors", EmbeddingsUnavailable: "embeddings"}


@dataclass(frozen=True, slots=True)
class _Read:
    """A batch that is ready to be written; `tasks` are those of the entries that still speak of one."""

    entries: Sequence[OutboxEntry]
    tasks: Sequence[Task]
    prepared: PreparedBatch


@dataclass(frozen=True, slots=True)
class _Written:
    """A batch that both stores have, or refuse for ever; without a report where there was nothing to write."""

    entries: Sequence[OutboxEntry]
    report: ProjectionReport | None
    tasks: int = 0


class ProjectorLoop:
    """One of several projectors; each owns some of the outbox's partitions."""

    def __init__(
        self,
        outbox: Outbox,
        projector: Projector,
        ledger: Ledger,
        graph: GraphStore,
        vectors: VectorStore,
        background: Background,
    ) -> None:
        self._outbox = outbox
        self._projector = projector
        self._ledger = ledger
        self._graph = graph
        self._vectors = vectors
        self._background = background
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._prepared = False

    async def turn(self) -> None:
        """Projects what is there, or waits for something. Raises Unavailable; the entries then stay where they are."""
        partitions = await self._outbox.acquire(self._owner, OWNERSHIP_S)
        if not partitions:
            await self._background.pause(WAIT_S)
            return
        keeper = asyncio.create_task(self._keep_ownership())
        try:
            await self._prepare()
            if entries := await self._read(partitions):
                await self._drain(partitions, entries)
            else:
                await self._outbox.wait(partitions, WAIT_S)
        except (GraphUnavailable, VectorsUnavailable, EmbeddingsUnavailable) as error:
            if not isinstance(error, EmbeddingsUnavailable):
                self._prepared = False  # what comes back may have come back empty
            await self._ledger.add_counters({f"store_errors:{STORES[type(error)]}": 1})
            raise
        finally:
            if not keeper.cancel():
                keeper.result()  # it never ends by itself: this is a bug, which ends the process

    async def _drain(self, partitions: Sequence[int], entries: Sequence[OutboxEntry]) -> None:
        """Writes batch after batch. While the stores are at work on one, the one before is settled, and the next one
        is read and prepared."""
        until = time.monotonic() + TURN_S
        now: _Read | None = await self._prepared_batch(entries)
        before = _Written((), None)
        while now is not None:
            more = time.monotonic() < until and not self._background.stopping.is_set()
            written, following = await asyncio.gather(
                self._write(now),
                self._settle_and_read(before, now, partitions if more else ()),
                return_exceptions=True,
            )
            if isinstance(written, BaseException):
                raise written
            before = written
            if isinstance(following, BaseException):
                await self._settle(before)
                raise following
            now = following
        await self._settle(before)

    async def _settle_and_read(self, before: _Written, now: _Read, partitions: Sequence[int]) -> _Read | None:
        """The batch behind the one that is being written; None when there is none, or no partition to read."""
        await self._settle(before)
        following = await self._read(partitions, behind=now.entries) if partitions else ()
        return await self._prepared_batch(following) if following else None

    async def _prepared_batch(self, entries: Sequence[OutboxEntry]) -> _Read:
        tasks = [(entry.task, entry.calls) for entry in entries if entry.task is not None]
        return _Read(entries, [task for task, _ in tasks], await self._projector.prepare(tasks))

    async def _read(self, partitions: Sequence[int], behind: Sequence[OutboxEntry] = ()) -> Sequence[OutboxEntry]:
        return await self._outbox.read(partitions, MAX_ENTRIES, MAX_BYTES, behind)

    async def _prepare(self) -> None:
        """Constraints and collection, once, and after each failure of a store: before the next write (a MERGE without a
        constraint makes duplicates), and also where nothing was written yet, so that a collection that is not meant is
        told at once. Raises GraphUnavailable and VectorsUnavailable, and SettingsError for such a collection."""
        if self._prepared:
            return
        await self._graph.prepare()
        lost = not await self._vectors.fits() and bool(await self._graph.tasks("", 1))
        await self._vectors.prepare()
        self._prepared = True
        if lost:
            log.error("collection_was_missing", hint="the graph has results: codeforge rebuild vectors")

    async def _write(self, batch: _Read) -> _Written:
        if not batch.tasks:
            return _Written(batch.entries, None)
        report = await self._projector.write(batch.prepared)
        for task_id, reason in report.rejected:
            log.error("row_rejected", task_id=task_id, reason=reason)
        _trace(report, batch.tasks)
        return _Written(batch.entries, report, len(batch.tasks))

    async def _settle(self, batch: _Written) -> None:
        if batch.entries:
            await self._outbox.settle(batch.entries, dict(batch.report.rejected) if batch.report else {})
        if batch.report is not None:
            await self._ledger.add_counters(_counters(batch.report, batch.tasks))

    async def _keep_ownership(self) -> None:
        """Batches may take longer than the ownership lasts. Losing it is harmless (writes are idempotent), but
        two writers of one row cost both of them retries."""
        while True:
            await asyncio.sleep(OWNERSHIP_S / 3)
            try:
                await self._outbox.renew(self._owner, OWNERSHIP_S)
            except LedgerUnavailable as error:
                log.warning("ownership_not_renewed", error=error.message)

    async def release(self) -> None:
        """Lets another projector take the partitions at once; without a ledger, its ownership runs out by itself."""
        try:
            await self._outbox.release(self._owner)
        except LedgerUnavailable as error:
            log.warning("partitions_not_released", error=error.message)


def _trace(report: ProjectionReport, batch: Sequence[Task]) -> None:
    """The batch in the trace of each of its tasks, with the wait before it. Attributes: OpenTelemetry's semantic
    conventions for databases."""
    begun_ns = min((begun for begun, _ in report.times.values()), default=0)
    for task in batch:
        if task.trace is None or task.finished_at is None or not begun_ns:
            continue
        about = {"codeforge.task.id": task.id, "codeforge.task.type": task.type.value}
        tracing.record("outbox", task.finished_at * 1_000_000, begun_ns, Kind.CONSUMER, about, parent=task.trace)
        for store, system in SYSTEMS.items():
            if store in report.times:
                to_it: Attributes = about | {"db.system.name": system, "db.operation.batch.size": len(batch)}
                tracing.record(f"store {store}", *report.times[store], Kind.CLIENT, to_it, parent=task.trace)


def _counters(report: ProjectionReport, tasks: int) -> dict[str, float]:
    counters: defaultdict[str, float] = defaultdict(float, {"batch:count": 1, "batch:tasks": tasks})
    for _, reason in report.rejected:
        counters[f"store_errors:{reason.partition(':')[0]}"] += 1
    for store, seconds in report.seconds.items():
        counters |= observed("projection", store, seconds)
    return counters
