"""One worker process: its lease, what it claims, cancellation, drain."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from codeforge.agent import AgentContext, SearchReply
from codeforge.errors import LedgerUnavailable
from codeforge.execution.runtime import WorkerRuntime
from codeforge.execution.suspects import SuspectRunner
from codeforge.ledger.keys import ALONE, COMPANY
from codeforge.ledger.lease import Lease
from codeforge.ledger.memory import MemoryLedger
from codeforge.ledger.port import ClaimedTask, WorkerRecord
from codeforge.results import ResultModel
from codeforge.task import TaskState
from codeforge.worker_types import WorkerType
from tests.factories import new_task
from tests.patience import PATIENCE_S
from tests.unit.execution.bench import EMPTY, INPUT, Bench, ScriptedAgent

pytestmark = pytest.mark.anyio


@dataclass
class Keeper:
    """A lease keeper that beats when the test says."""

    worker: WorkerRecord
    lease: Lease
    on_cancelled: Callable[[Sequence[str]], None]
    on_death: Callable[[], None]
    calls: list[str] = field(default_factory=list)

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")


@dataclass
class Worker:
    """A started runtime whose agent waits in a step, `entered`, until it is `opened`."""

    bench: Bench = field(default_factory=Bench)
    keepers: list[Keeper] = field(default_factory=list)
    closed: list[bool] = field(default_factory=list)
    clock: list[float] = field(default_factory=lambda: [0.0])
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.lease = Lease(10, lambda: self.clock[0])
        self.runtime = self.made()

    def made(self, **options: Any) -> WorkerRuntime:
        def keeper(worker: WorkerRecord, **callbacks: Any) -> Any:
            self.keepers.append(Keeper(worker, **callbacks))
            return self.keepers[-1]

        async def close() -> None:
            self.closed.append(True)

        agents = {WorkerType.SCRAPE: ScriptedAgent(self._act)}
        return WorkerRuntime(
            self.bench.ledger,
            self.bench.runner,
            agents,
            suspects=SuspectRunner(self.bench.ledger, [sys.executable, "-c", "raise SystemExit(3)"]),
            lease=self.lease,
            keeper=keeper,
            close=close,
            **({"on_death": lambda: None} | options),
        )

    async def _act(self, ctx: AgentContext) -> ResultModel:
        await ctx.step("wait", self._step, SearchReply)
        await ctx.progress(1, 1)
        return EMPTY

    async def _step(self) -> SearchReply:
        self.entered.set()
        await self.opened.wait()
        return SearchReply(hits=[])

    async def running(self) -> tuple[str, "asyncio.Task[TaskState | None]"]:
        """A task whose agent is in its step."""
        task = new_task(input=INPUT)
        await self.bench.ledger.submit([task])
        run = asyncio.create_task(self.runtime.run(task.id))
        async with asyncio.timeout(PATIENCE_S):
            await self.entered.wait()
        return task.id, run

    async def state(self, task_id: str) -> TaskState:
        return (await self.bench.ledger.get("acme", task_id)).state


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    made = Worker()
    await made.runtime.start(7)
    yield made
    await made.runtime.stop()


async def test_start_takes_the_lease_with_types_and_slots(worker: Worker) -> None:
    depth = (await worker.bench.ledger.snapshot()).depths[WorkerType.SCRAPE]
    assert (depth.workers, depth.slots) == (1, 7)
    assert worker.keepers[0].calls == ["start"]


async def test_start_without_a_ledger_says_so() -> None:
    bench = Bench()
    bench.ledger.down = True
    with pytest.raises(LedgerUnavailable):
        await Worker(bench).runtime.start(7)


async def test_stop_ends_the_lease_and_closes_the_clients() -> None:
    worker = Worker()
    await worker.runtime.start(7)
    await worker.runtime.stop()
    assert (await worker.bench.ledger.snapshot()).depths[WorkerType.SCRAPE].workers == 0
    assert (worker.keepers[0].calls, worker.closed) == (["start", "stop"], [True])


async def test_stop_without_a_ledger_closes_the_clients_all_the_same() -> None:
    worker = Worker()
    await worker.runtime.start(7)
    worker.bench.ledger.down = True
    with capture_logs() as logs:
        await worker.runtime.stop()
    assert worker.closed == [True]
    assert [entry["event"] for entry in logs] == ["lease_not_ended"]


async def test_task_is_run(worker: Worker) -> None:
    task_id, run = await worker.running()
    assert await worker.state(task_id) is TaskState.RUNNING
    worker.opened.set()
    await run
    assert await worker.state(task_id) is TaskState.SUCCEEDED


async def test_second_message_of_a_task_does_nothing(worker: Worker) -> None:
    task_id, run = await worker.running()
    await worker.runtime.run(task_id)
    worker.opened.set()
    await run
    await worker.runtime.run(task_id)
    await worker.runtime.run(new_task().id)
    task = await worker.bench.ledger.get("acme", task_id)
    assert (task.state, task.attempts) == (TaskState.SUCCEEDED, 1)


async def test_nothing_is_claimed_without_a_ledger_or_a_lease(worker: Worker) -> None:
    task = new_task(input=INPUT)
    await worker.bench.ledger.submit([task])
    worker.bench.ledger.down = True
    with capture_logs() as logs:
        await worker.runtime.run(task.id)
        worker.bench.ledger.down = False
        worker.bench.ledger.leases.clear()
        await worker.runtime.run(task.id)
    assert [entry["error"] for entry in logs] == ["ledger_unavailable", "stale_claim"]
    assert await worker.state(task.id) is TaskState.QUEUED


async def test_nothing_is_claimed_once_it_stops(worker: Worker) -> None:
    task = new_task(input=INPUT)
    await worker.bench.ledger.submit([task])
    worker.runtime.stop_claiming()
    await worker.runtime.run(task.id)
    assert await worker.state(task.id) is TaskState.QUEUED


class SlowClaim(MemoryLedger):
    """Answers a claim when the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.claimed, self.answer = asyncio.Event(), asyncio.Event()

    async def claim(
        self, task_id: str, worker: str, claim_id: str, *, room: Collection[int] = COMPANY
    ) -> ClaimedTask | None:
        claimed = await super().claim(task_id, worker, claim_id, room=room)
        self.claimed.set()
        await self.answer.wait()
        return claimed


async def test_claim_that_is_answered_once_it_stops_is_handed_back() -> None:
    ledger = SlowClaim()
    worker = Worker(Bench(ledger))
    await worker.runtime.start(1)
    task = new_task(input=INPUT)
    await ledger.submit([task])
    run = asyncio.create_task(worker.runtime.run(task.id))
    await ledger.claimed.wait()
    await worker.runtime.drain(0)
    ledger.answer.set()
    await run
    got = await ledger.get("acme", task.id)
    assert (got.state, got.attempts, worker.entered.is_set()) == (TaskState.QUEUED, 0, False)


async def test_cancelled_task_stops_when_the_keeper_hears_of_it(worker: Worker) -> None:
    task_id, run = await worker.running()
    await worker.bench.ledger.cancel("acme", task_id)
    keeper = worker.keepers[0]
    heard = await worker.bench.ledger.renew_lease(keeper.worker)
    thread = threading.Thread(target=keeper.on_cancelled, args=([*heard, "of another worker"],))
    thread.start()
    async with asyncio.timeout(PATIENCE_S):
        await run
    thread.join()
    assert await worker.state(task_id) is TaskState.CANCELLED


async def test_cancellation_that_is_heard_before_the_claims_answer_is_not_lost(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, keeper, task = worker.bench.ledger, worker.keepers[0], new_task(input=INPUT)
    await ledger.submit([task])
    claim = ledger.claim

    async def slow_answer(*args: Any, **options: Any) -> ClaimedTask | None:
        claimed = await claim(*args, **options)
        await ledger.cancel("acme", task.id)
        heard = await ledger.renew_lease(keeper.worker)
        keeper.on_cancelled(heard)
        await ledger.renew_lease(keeper.worker, heard)
        await asyncio.sleep(0)  # what the keeper's thread left for the loop
        return claimed

    monkeypatch.setattr(ledger, "claim", slow_answer)
    async with asyncio.timeout(PATIENCE_S):
        await worker.runtime.run(task.id)
    assert (await worker.state(task.id), worker.entered.is_set()) == (TaskState.CANCELLED, False)


async def test_drain_waits_for_the_step_in_flight(worker: Worker) -> None:
    task_id, run = await worker.running()
    drain = asyncio.create_task(worker.runtime.drain(10))
    await asyncio.sleep(0)
    assert not drain.done()
    worker.opened.set()
    await asyncio.gather(drain, run)
    row = worker.bench.ledger.rows[task_id]
    assert (row.task.state, row.task.attempts, list(row.journal)) == (TaskState.QUEUED, 0, ["wait"])


async def test_drain_cuts_a_step_that_is_longer_than_its_deadline(worker: Worker) -> None:
    task_id, run = await worker.running()
    await worker.runtime.drain(0.01)
    await run
    row = worker.bench.ledger.rows[task_id]
    assert (row.task.state, row.task.attempts, list(row.journal)) == (TaskState.QUEUED, 0, [])


async def test_outcome_that_cannot_be_handed_in_is_left_to_the_reaper(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codeforge.execution.patience.PATIENCE_S", 0.0)
    task_id, run = await worker.running()
    worker.bench.ledger.down = True
    worker.opened.set()
    with capture_logs() as logs:
        await run
    worker.bench.ledger.down = False
    assert logs[-1]["event"] == "outcome_not_handed_in"
    assert await worker.state(task_id) is TaskState.RUNNING


async def test_health_file_is_touched_while_it_works(tmp_path: Path) -> None:
    worker, path = Worker(), tmp_path / "health"
    runtime = worker.made(health_file=path)
    await runtime.start(1)
    async with asyncio.timeout(PATIENCE_S):
        while not await asyncio.to_thread(path.exists):  # noqa: ASYNC110 - a file tells nobody that it is there
            await asyncio.sleep(0.005)
    await runtime.stop()


@pytest.mark.parametrize(
    ("lost", "options"),
    [("health_file", {"health_file": Path("/no/such/folder/health")}), ("memory_watch", {"max_memory_mb": 1})],
)
async def test_worker_that_lost_what_runs_beside_its_tasks_says_so_and_asks_to_drain(
    lost: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> int:
        raise OSError("no such process")

    monkeypatch.setattr("codeforge.execution.runtime.resident_bytes", broken)
    asked = asyncio.Event()
    runtime = Worker().made(on_death=asked.set, **options)
    with capture_logs() as logs:
        await runtime.start(1)
        async with asyncio.timeout(PATIENCE_S):
            await asked.wait()
    await runtime.stop()
    assert [entry["task"] for entry in logs if entry["event"] == "task_died"] == [lost]


async def test_worker_without_a_renewed_lease_claims_nothing(worker: Worker) -> None:
    worker.clock[0] = 9.0  # the margin is a tenth
    task = new_task(input=INPUT)
    await worker.bench.ledger.submit([task])
    await worker.runtime.run(task.id)
    assert await worker.state(task.id) is TaskState.QUEUED


async def test_suspect_runs_in_a_process_of_its_own(worker: Worker) -> None:
    task = new_task(input=INPUT, max_attempts=1)
    await worker.bench.ledger.submit([task])
    worker.bench.ledger.rows[task.id].set(crashes=ALONE)
    await worker.runtime.run(task.id)
    assert not worker.entered.is_set()
    assert await worker.state(task.id) is TaskState.DEAD


async def test_rescue_hands_back_all_but_the_blocker(worker: Worker) -> None:
    runtime = worker.made(spare_ledger=lambda: worker.bench.ledger, stuck_after_s=3600)
    await runtime.start(2)
    worker.runtime = runtime
    blocker, _ = await worker.running()
    worker.entered.clear()
    other, _ = await worker.running()
    await runtime._rescue(blocker)
    rows = worker.bench.ledger.rows
    assert (rows[other].task.state, rows[other].task.attempts) == (TaskState.QUEUED, 0)
    assert (rows[blocker].task.state, rows[blocker].task.crashes) == (TaskState.RUNNING, ALONE)
    await runtime.stop()


async def test_worker_that_has_grown_too_large_asks_to_drain(worker: Worker) -> None:
    asked = asyncio.Event()
    runtime = worker.made(max_memory_mb=1, on_death=asked.set)
    await runtime.start(1)
    async with asyncio.timeout(PATIENCE_S):
        await asked.wait()
    await runtime.stop()


async def test_drain_for_memory_counts_against_all_aboard_and_costs_no_attempt() -> None:
    worker = Worker()
    asked = asyncio.Event()
    worker.runtime = worker.made(max_memory_mb=1, on_death=asked.set)
    await worker.runtime.start(1)
    task_id, run = await worker.running()
    async with asyncio.timeout(PATIENCE_S):
        await asked.wait()
    worker.opened.set()
    await worker.runtime.drain(5)
    await run
    task = worker.bench.ledger.rows[task_id].task
    assert (task.state, task.attempts, task.crashes) == (TaskState.QUEUED, 0, 1)
    await worker.runtime.stop()
