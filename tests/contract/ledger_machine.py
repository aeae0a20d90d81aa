"""Drives a real ledger and its model side by side: interleaved workers, lost answers, stale claims, expired leases,
reaper passes, cancellations, replays and projectors, in whatever order hypothesis comes up with."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import orjson
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from codeforge.errors import IdempotencyConflict, StaleClaim, StateConflict
from codeforge.ledger import keys
from codeforge.ledger.connection import connect
from codeforge.ledger.keys import ALONE
from codeforge.ledger.port import Idempotency, OutboxEntry, Outcome, WorkerRecord
from codeforge.task import Claim, ModelCall, NewTask, Progress, TaskFailure, TaskState
from codeforge.worker_types import WorkerType
from tests.contract.ledger_engines import LONG_AGO_MS, PARTITIONS, LedgerServer
from tests.contract.ledger_model import DONE, Expected, Model
from tests.contract.ledger_reading import everything, outbox, placed
from tests.factories import new_task

T = TypeVar("T")

HOUR_S = 3_600.0
TYPES = (WorkerType.SCRAPE, WorkerType.DEBATE)
WORKERS = ("w1", "w2", "w3")
FAILURE = TaskFailure("model_unavailable", "it said 503", retryable=True)
OUTCOMES = {
    "succeeded": Outcome("succeeded", result=b'{"pages":[]}'),
    "failed": Outcome("failed", error=FAILURE),
    "retry": Outcome("retry", error=FAILURE, retry_delay_s=HOUR_S),
    "cancelled": Outcome("cancelled", error=FAILURE),
}
STEPS = ("step", "purchase", "call")
WRITES = (*STEPS, "begin", "progress", "emit", "suspect", "hand_back", "crash", *OUTCOMES)
ENDS = ("hand_back", "crash", *OUTCOMES)
ROOMS = st.sampled_from(((), (2,), (3, 4), (2, 3, 4), (2, 3, 4)))


class LedgerMachine(RuleBasedStateMachine):
    """One run on an empty ledger at `url`."""

    tasks = Bundle("tasks")
    claims = Bundle("claims")
    batches = Bundle("batches")

    def __init__(self, url: str) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._cf = LedgerServer(connect(url, max_connections=4), connect(url, max_connections=2))
        self._model = Model()
        self._count = 0
        self._await(self._cf.redis.flushdb())

    def teardown(self) -> None:
        """Closes what the run opened."""
        self._await(self._cf.ledger.close())
        self._runner.close()

    def _await(self, work: Awaitable[T]) -> T:
        async def waited() -> T:
            return await work

        return self._runner.run(waited())

    def _number(self) -> int:
        self._count += 1
        return self._count

    # Clients

    @initialize(target=tasks)
    def begin(self) -> Any:
        """Two live workers and some tasks, so that short runs get somewhere."""
        self.renew("w1")
        self.renew("w2")
        return multiple(*(self._submit(new_task(max_attempts=n), None) for n in (1, 2, 3)))

    @rule(
        target=tasks,
        worker_type=st.sampled_from(TYPES),
        max_attempts=st.integers(1, 3),
        delayed=st.sampled_from((False, False, True)),
        idempotency=st.sampled_from((None, None, Idempotency("k", "body a"), Idempotency("k", "body b"))),
    )
    def submit(self, worker_type: WorkerType, max_attempts: int, delayed: bool, idempotency: Idempotency | None) -> Any:
        """A submission; the same key gives the same task, or a conflict for another body."""
        new = new_task(type=worker_type, max_attempts=max_attempts, delay_s=HOUR_S if delayed else 0.0)
        known = self._model.keys.get(idempotency.key) if idempotency else None
        if known is None or idempotency is None:
            return self._submit(new, idempotency)
        if known[0] != idempotency:
            self._refused(lambda: self._cf.ledger.submit([new], idempotency), IdempotencyConflict)
            return multiple()
        answer = self._await(self._cf.ledger.submit([new], idempotency))
        assert (list(answer.ids), answer.replayed) == (known[1], True)
        return multiple()

    def _submit(self, new: NewTask, idempotency: Idempotency | None) -> str:
        answer = self._await(self._cf.ledger.submit([new], idempotency))
        assert (list(answer.ids), answer.replayed) == ([new.id], False)
        self._model.accept(new)
        if idempotency is not None:
            self._model.keys[idempotency.key] = (idempotency, [new.id])
        return new.id

    @rule(task_id=tasks)
    def submit_again(self, task_id: str) -> None:
        """The same call once more, because its answer was lost: nothing new."""
        self._unchanged(lambda: self._cf.ledger.submit([self._model.tasks[task_id].new]))

    @rule(task_id=tasks)
    def cancel(self, task_id: str) -> None:
        """A waiting task ends at once, a running one is told."""
        task = self._model.tasks[task_id]
        if task.state in DONE:
            self._refused(lambda: self._cf.ledger.cancel("acme", task_id), StateConflict)
            return
        state = self._await(self._cf.ledger.cancel("acme", task_id))
        if task.state is TaskState.RUNNING:
            task.cancelled = True
        else:
            self._model.ended(task, TaskState.CANCELLED)
        assert state is task.state

    @rule(task_id=tasks)
    def replay(self, task_id: str) -> None:
        """Only what ended without success runs again."""
        task = self._model.tasks[task_id]
        if task.state not in DONE or task.state is TaskState.SUCCEEDED:
            self._refused(lambda: self._cf.ledger.replay("acme", task_id), StateConflict)
            return
        assert self._await(self._cf.ledger.replay("acme", task_id)) is TaskState.QUEUED
        self._model.replayed(task)

    # Workers

    @rule(worker=st.sampled_from(WORKERS))
    def renew(self, worker: str) -> None:
        """A heartbeat."""
        self._await(self._cf.ledger.renew_lease(WorkerRecord(worker, list(TYPES), 10)))
        self._model.leases.add(worker)

    @rule(worker=st.sampled_from(WORKERS), ends=st.booleans())
    def lose_lease(self, worker: str, ends: bool) -> None:
        """The worker dies, or stops in order."""
        if worker in self._model.leases:
            self._model.leases.discard(worker)
            self._await(self._cf.ledger.end_lease(worker) if ends else self._cf.expire_lease(worker))

    @rule(target=claims, task_id=tasks, worker=st.sampled_from(WORKERS), room=ROOMS)
    def claim(self, task_id: str, worker: str, room: Sequence[int] = (2, 3, 4)) -> Any:
        """A ring is heard: only a waiting task is claimed, only under a live lease, a suspect only with a place for
        it."""
        task, claim_id = self._model.tasks[task_id], f"claim {self._number()}"
        if worker not in self._model.leases:
            self._refused(lambda: self._cf.ledger.claim(task_id, worker, claim_id, room=room), StaleClaim)
            return multiple()
        if task.place != "queued" or not task.runs_where(room):
            assert self._unchanged(lambda: self._cf.ledger.claim(task_id, worker, claim_id, room=room)) is None
            return multiple()
        claimed = self._await(self._cf.ledger.claim(task_id, worker, claim_id, room=room))
        assert claimed is not None
        self._model.claimed(task, claimed.claim)
        assert claimed.claim == Claim(task_id, task.type, worker, task.fence, claim_id)
        assert dict(claimed.journal) == task.journal
        return claimed.claim

    @rule(claim=claims)
    def claim_again(self, claim: Claim) -> None:
        """The answer to a claim was lost: the same call gets the same claim while it holds, and never another."""
        task = self._model.tasks[claim.task_id]
        if claim.worker in self._model.leases and task.claim == claim:
            again = self._unchanged(lambda: self._cf.ledger.claim(claim.task_id, claim.worker, claim.claim_id))
            assert again is not None
            assert again.claim == claim

    @initialize(target=claims, first=st.sampled_from(WORKERS[:2]))
    def begin_work(self, first: str) -> Any:
        """Two tasks run from the start."""
        for worker in WORKERS[:2]:
            self.renew(worker)
        workers = {1: first, 2: "w2"}  # by the tasks' attempts
        return multiple(*(self.claim(self._submit(new_task(max_attempts=n), None), workers[n]) for n in workers))

    @rule(claim=claims, what=st.sampled_from(WRITES), step=st.sampled_from(("a", "b")))
    def write(self, claim: Claim, what: str, step: str) -> None:
        """Any claim ever given tries to write; one that holds no more tries everything."""
        task = self._model.tasks[claim.task_id]
        if task.claim != claim:
            self._stale(task, claim, step)
            return
        self._accepted(task, claim, what, step)
        if what in (*STEPS, *ENDS):
            # Repeated, because its answer was lost; a step's second value, which is another, does not count.
            self._unchanged(lambda: self._send(claim, what, step))
        if what == "succeeded":
            self._refused(lambda: self._cf.ledger.replay("acme", claim.task_id), StateConflict)

    @rule(claim=claims, what=st.sampled_from(("retry", "hand_back", "crash", "succeeded")))
    def end_what_was_cancelled(self, claim: Claim, what: str) -> None:
        """The client's word comes just before the worker's."""
        task = self._model.tasks[claim.task_id]
        if task.claim == claim:
            self.cancel(claim.task_id)
            self._accepted(task, claim, what, "a")

    @rule(claim=claims)
    def fail_for_now(self, claim: Claim) -> None:
        """Which ends the task at its last attempt."""
        task = self._model.tasks[claim.task_id]
        if task.claim == claim:
            self._accepted(task, claim, "retry", "a")

    @rule(target=claims, claim=claims, what=st.sampled_from(("hand_back", "crash", "failed")), room=ROOMS)
    def end_a_suspect(self, claim: Claim, what: str, room: Sequence[int]) -> Any:
        """One that kept its process from working waits for a place of its own; a replay is no suspect any more."""
        task = self._model.tasks[claim.task_id]
        if task.claim != claim:
            return multiple()
        self._accepted(task, claim, "suspect", "a")
        self._accepted(task, claim, what, "a")
        if what == "failed":
            self.replay(claim.task_id)
        return self.claim(claim.task_id, claim.worker, room)

    @rule(claim=claims, detail=st.sampled_from(("claim id", "next fence", "fence before")))
    def forge(self, claim: Claim, detail: str) -> None:
        """A claim that differs from a given one in a detail."""
        forged = {
            "claim id": replace(claim, claim_id="of a ledger that was restored"),
            "next fence": replace(claim, fence=claim.fence + 1),
            "fence before": replace(claim, fence=claim.fence - 1),
        }
        self._stale(self._model.tasks[claim.task_id], forged[detail], "a")

    def _stale(self, task: Expected, claim: Claim, step: str) -> None:
        before = self._await(everything(self._cf.redis))
        for what in WRITES:
            try:
                self._await(self._send(claim, what, step))
            except StaleClaim:
                pass
            else:  # only the call that ended this very attempt may be answered again
                assert what in ENDS
                assert (claim.fence, claim.claim_id) == (task.fence, self._last_claim(claim.task_id))
        assert self._await(everything(self._cf.redis)) == before

    def _last_claim(self, task_id: str) -> str:
        return str(self._await(self._cf.redis.hget(keys.task(task_id), "ended_by")).decode().partition(":")[0])

    def _accepted(self, task: Expected, claim: Claim, what: str, step: str) -> None:
        name = f"step {step}"
        value = orjson.dumps(self._count + 1)
        state = self._await(self._send(claim, what, step))
        if what in STEPS and name not in task.journal:
            task.journal[name] = value
            if what == "call":
                task.calls.append(_call(name, self._count))
        elif what == "suspect":
            task.crashes = ALONE
        elif what in ("hand_back", "crash"):
            self._model.handed_back(task, crashed=what == "crash")
        elif what in OUTCOMES:
            self._model.finished(task, what)
            assert state is task.state

    async def _send(self, claim: Claim, what: str, step: str) -> TaskState | None:
        ledger, name = self._cf.ledger, f"step {step}"
        if what in OUTCOMES:
            return await ledger.finish(claim, OUTCOMES[what])
        if what in STEPS:
            number = self._number()
            call = _call(name, number) if what == "call" else None
            await ledger.record_step(claim, name, orjson.dumps(number), call, paid=what == "purchase")
        elif what == "begin":
            await ledger.begin_call(claim, name)
        elif what == "progress":
            await ledger.progress(claim, Progress(self._number(), 9))
        elif what == "emit":
            await ledger.emit(claim, "note", b"{}")
        elif what == "suspect":
            await ledger.suspect(claim)
        else:
            await ledger.hand_back(claim, crashed=what == "crash")
        return None

    # Time and the reaper

    @rule(task_id=tasks)
    def time_passes(self, task_id: str) -> None:
        """A delay is over, or a time limit."""
        task = self._model.tasks[task_id]
        if task.place == "delayed":
            self._await(self._cf.redis.zadd(keys.delayed(task.type), {task_id: LONG_AGO_MS}))
            task.place = "due"
        elif task.place == "running":
            self._await(self._cf.redis.zadd(keys.running(task.type), {task_id: LONG_AGO_MS}))
            task.place = "overdue"

    @rule()
    def reap(self) -> None:
        """A pass: overdue tasks end, due ones wait again, those of dead workers are taken back."""
        for task in self._model.tasks.values():
            if task.place == "overdue":
                self._model.attempt(task, "timeout")
                self._model.ended(task, TaskState.FAILED)
            elif task.place == "due":
                self._model.back_to_queue(task)
        for worker in WORKERS:
            if worker not in self._model.leases:
                held = [task for task in self._model.tasks.values() if task.claim and task.claim.worker == worker]
                for task in held:
                    self._model.lost(task, alone=len(held) == 1)
        # A machine that stood still would make the reaper think that the ledger was away.
        self._await(self._cf.redis.delete(keys.REAPER_PASS, f"{keys.REAPER_PASS.rpartition(':')[0]}:grace"))
        self._await(self._cf.reaper.reap())

    # Projectors

    @rule(target=batches, count=st.integers(1, 3))
    def read_outbox(self, count: int) -> Any:
        """A projector reads; another may read the same. What a replay moved on comes without its task."""
        entries = self._await(self._cf.outbox.read(range(PARTITIONS), count, 10_000))
        for entry in entries:
            task = self._model.tasks[entry.task_id]
            current = task.state in DONE and task.fence == entry.fence
            assert (entry.task is not None) == current
            assert entry.task is None or list(entry.calls) == task.calls
        return entries

    @rule(batch=consumes(batches))
    def settle(self, batch: list[OutboxEntry]) -> None:
        """A projector is done with what it read, however long ago that was. Every fourth task is one that no store
        takes, whoever tries."""
        rejected = {entry.task_id: "graph: too large" for entry in batch if entry.task_id[-1] in "0123"}
        self._await(self._cf.outbox.settle(batch, rejected))
        for entry in batch:
            self._model.settled(entry.task_id, entry.fence, accepted=entry.task_id not in rejected)

    # What always holds

    @invariant()
    def rows_are_as_expected(self) -> None:
        """State, place, fence, attempts, journal and cost of each task, and one outcome a fence."""
        for task_id, task in self._model.tasks.items():
            row, journal, calls, places = self._await(placed(self._cf.redis, task_id, task.type))
            assert int(row.get("crashes", 0)) == task.crashes
            assert (row["state"], int(row["fence"]), int(row["attempts"]), row.get("stored", "0")) == (
                task.state.value, task.fence, task.attempts, str(int(task.stored))
            )  # fmt: skip
            assert places == {"queued": ["queued"], "delayed": ["delayed"], "due": ["delayed"], "running": ["running"],
                              "overdue": ["running"], "done": ["dead"] if task.state is TaskState.DEAD else []}[
                task.place
            ]  # fmt: skip
            assert journal == task.journal
            assert calls == len(task.calls)
            assert int(row["input_tokens"]) == sum(call.input_tokens for call in task.calls)
            fences = [fence for fence, _ in task.outcomes]
            assert len(fences) == len(set(fences))

    @invariant()
    def totals_are_as_expected(self) -> None:
        """Depths, counters, who owns what, and exactly the unsettled outcomes in the outbox."""
        snapshot = self._await(self._cf.ledger.snapshot())
        counted = ("submitted:", "finished:", "attempts:", "replayed:")
        counters = {name: value for name, value in snapshot.counters.items() if name.startswith(counted)}
        assert counters == dict(self._model.counters)
        for worker_type, depth in snapshot.depths.items():
            places = [task.place for task in self._model.tasks.values() if task.type is worker_type]
            assert depth.queued == places.count("queued")
            assert depth.running == places.count("running") + places.count("overdue")
            assert depth.delayed == places.count("delayed") + places.count("due")
        for worker in WORKERS:
            owned = {raw.decode() for raw in self._await(self._cf.redis.smembers(keys.owned(worker)))}
            held = {task.claim for task in self._model.tasks.values() if task.claim and task.claim.worker == worker}
            assert owned == {claim.task_id for claim in held}
            assert set(self._await(self._cf.ledger.strays(worker, ()))) == held
        assert sorted(self._await(outbox(self._cf.redis))) == sorted(self._model.outbox)

    # How a refusal is seen to change nothing

    def _refused(self, call: Callable[[], Awaitable[Any]], error: type[Exception]) -> None:
        before = self._await(everything(self._cf.redis))
        try:
            self._await(call())
        except error:
            assert self._await(everything(self._cf.redis)) == before
        else:
            raise AssertionError(f"{error.__name__} expected")

    def _unchanged(self, call: Callable[[], Awaitable[T]]) -> T:
        before = self._await(everything(self._cf.redis))
        answer = self._await(call())
        assert self._await(everything(self._cf.redis)) == before
        return answer


def _call(step: str, number: int) -> ModelCall:
    return ModelCall(step, "m", number, 1, 0.0, 5)
