"""Projectors on one ledger: several at once, one that dies, and a store that is away for long."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import pytest

from codeforge.background import Background
from codeforge.errors import GraphUnavailable
from codeforge.ledger.port import OutboxEntry, Outcome
from codeforge.projection import Projector
from codeforge.projector_loop import ProjectorLoop
from codeforge.stores.memory_graph import MemoryGraphStore
from codeforge.stores.memory_vectors import HashEmbedder, MemoryVectorStore
from codeforge.stores.ports import GraphBatch
from tests.contract.ledger_engines import LedgerEngine
from tests.factories import new_task
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.anyio

DIM = 16
OWNERSHIP_S = 1.5
RESULT = Outcome("succeeded", result=b'{"pages":[],"failed":[]}')


class Graph(MemoryGraphStore):
    """Notes which tasks were written. `stuck` writes never end."""

    def __init__(self) -> None:
        super().__init__()
        self.written: Counter[str] = Counter()
        self.stuck = False
        self.reached = asyncio.Event()

    async def write(self, batch: GraphBatch) -> None:
        self.reached.set()
        if self.stuck:
            await asyncio.Event().wait()
        await super().write(batch)
        self.written.update(node.id for node in batch.nodes if node.label == "Task")


class Process:
    """A projector with a store of its own, so that it shows what it wrote itself."""

    def __init__(self, cf: LedgerEngine) -> None:
        self.graph, self.vectors = Graph(), MemoryVectorStore(DIM)
        projector = Projector(self.graph, self.vectors, HashEmbedder(DIM))
        background = Background("projector", None)
        self.loop = ProjectorLoop(cf.outbox, projector, cf.ledger, self.graph, self.vectors, background)

        self._killed = False
        self._task = asyncio.ensure_future(asyncio.sleep(0))

    def start(self) -> None:
        """Works until it is killed."""
        self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while not self._killed:
            await self.loop.turn()

    async def kill(self) -> None:
        """Ends it without a word, as SIGKILL does. (The driver may swallow a cancellation that meets an answer.)"""
        self._killed = True
        self._task.cancel()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.projector_loop.WAIT_S", 0.005)
    monkeypatch.setattr("codeforge.projector_loop.MAX_ENTRIES", 5)
    monkeypatch.setattr("codeforge.projector_loop.TURN_S", 0.01)


async def finished(cf: LedgerEngine, count: int, outcome: Outcome = RESULT) -> list[str]:
    """Tasks whose results await their projection."""
    tasks = [new_task() for _ in range(count)]
    await cf.ledger.submit(tasks)
    for task in tasks:
        await cf.ledger.finish((await cf.claimed(task.id)).claim, outcome)
    return [task.id for task in tasks]


async def longest_pause(cf: LedgerEngine, since: float, seconds: float) -> float:
    """Of this process, or of the ledger's server, from the moment `since` on until `seconds` from now: whoever stands
    still on a busy machine loses what he owns, as he should."""
    longest, last, until = 0.0, since, time.monotonic() + seconds
    while last < until:
        await cf.keeper.state()
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
        await asyncio.sleep(0.02)
    return longest


async def drained(cf: LedgerEngine) -> None:
    """Returns when nothing waits any more."""
    async with asyncio.timeout(60):
        while (await cf.keeper.state()).entries:  # noqa: ASYNC110 - the ledger tells nobody that it is empty
            await asyncio.sleep(0.01)


async def test_two_projectors_share_the_work_and_write_nothing_twice(cf: LedgerEngine) -> None:
    ids = await finished(cf, 200)
    one, other = Process(cf), Process(cf)
    one.start()
    other.start()
    await drained(cf)
    await one.kill()
    await other.kill()
    assert one.graph.written + other.graph.written == Counter(ids)
    assert one.graph.written
    assert other.graph.written
    assert all([(await cf.ledger.get("acme", task_id)).stored for task_id in ids])


async def test_what_a_dead_projector_owned_is_taken_over_within_the_ownership_time(
    cf: LedgerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codeforge.projector_loop.OWNERSHIP_S", OWNERSHIP_S)
    ids = await finished(cf, 20)
    dying, heir = Process(cf), Process(cf)
    dying.graph.stuck = True
    began = time.monotonic()
    dying.start()
    async with asyncio.timeout(PATIENCE_S):
        await dying.graph.reached.wait()
    heir.start()
    # While the owner lives, however long its batch takes, the entries that it has in work are its own.
    paused_s = await longest_pause(cf, began, 1.5 * OWNERSHIP_S)
    assert not heir.graph.written or paused_s > OWNERSHIP_S / 3
    await dying.kill()
    killed = time.monotonic()
    await drained(cf)
    taken_over_s = time.monotonic() - killed
    await heir.kill()
    assert heir.graph.written == Counter(ids)
    assert taken_over_s < OWNERSHIP_S + 10


async def test_a_backlog_is_read_in_bounded_batches_and_drains_when_the_store_is_back(
    cf: LedgerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 10_000
    result = b'{"pages":[],"failed":[]%s}' % (b" " * size)
    monkeypatch.setattr("codeforge.projector_loop.MAX_BYTES", 3 * size)
    batches: list[Sequence[OutboxEntry]] = []
    read = cf.outbox.read

    async def watched(
        partitions: Sequence[int], max_entries: int, max_bytes: int, behind: Sequence[OutboxEntry] = ()
    ) -> Sequence[OutboxEntry]:
        entries = await read(partitions, max_entries, max_bytes, behind)
        batches.append(entries)
        return entries

    monkeypatch.setattr(cf.outbox, "read", watched)
    process = Process(cf)
    process.graph.down = True
    ids: list[str] = []
    for _ in range(6):
        ids += await finished(cf, 10, Outcome("succeeded", result=result))
        with pytest.raises(GraphUnavailable):
            await process.loop.turn()
    state = await cf.keeper.state()
    assert (state.entries, state.dead_letters) == (60, 0)
    assert state.bytes > 60 * size
    process.graph.down = False
    process.start()
    await drained(cf)
    await process.kill()
    assert process.graph.written == Counter(ids)
    assert max(len(batch) for batch in batches) == 3  # of the bytes that a batch may hold
    assert (await cf.keeper.state()).bytes == 0
