"""What the ledger should hold, in a few plain lines: the model that its property test compares it with."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from codeforge.ledger.keys import ALONE, SUSPECT
from codeforge.ledger.port import Idempotency
from codeforge.task import Claim, ModelCall, NewTask, TaskState
from codeforge.worker_types import WorkerType

DONE = (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED, TaskState.DEAD)


@dataclass
class Expected:
    """One task. `outcomes` are the fences under which it ended, and how."""

    new: NewTask
    state: TaskState = TaskState.QUEUED
    place: str = "queued"
    fence: int = 0
    attempts: int = 0
    crashes: int = 0
    claim: Claim | None = None
    cancelled: bool = False
    stored: bool = False
    journal: dict[str, bytes] = field(default_factory=dict)
    calls: list[ModelCall] = field(default_factory=list)
    outcomes: list[tuple[int, TaskState]] = field(default_factory=list)

    def runs_where(self, room: Collection[int]) -> bool:
        """Whether a worker that has a place for such suspects can run it."""
        return self.crashes < SUSPECT or min(self.crashes, ALONE) in room

    @property
    def type(self) -> WorkerType:
        """The worker type."""
        return self.new.type


class Model:
    """All tasks, idempotency keys, live leases and counters, and the outcomes that await their projection."""

    def __init__(self) -> None:
        self.tasks: dict[str, Expected] = {}
        self.keys: dict[str, tuple[Idempotency, list[str]]] = {}
        self.leases: set[str] = set()
        self.counters: Counter[str] = Counter()
        self.outbox: list[tuple[str, int]] = []

    def accept(self, new: NewTask) -> None:
        """A submission that was taken."""
        self.tasks[new.id] = Expected(new, place="delayed" if new.delay_s else "queued")
        self.counters[f"submitted:{new.type}"] += 1

    def claimed(self, task: Expected, claim: Claim) -> None:
        """A worker got it."""
        task.state, task.place, task.claim = TaskState.RUNNING, "running", claim
        task.fence += 1
        task.attempts += 1

    def back_to_queue(self, task: Expected) -> None:
        """It waits again, at once."""
        task.state, task.place, task.claim = TaskState.QUEUED, "queued", None

    def delay(self, task: Expected) -> None:
        """It waits for a time."""
        task.state, task.place, task.claim = TaskState.QUEUED, "delayed", None

    def ended(self, task: Expected, state: TaskState) -> None:
        """It has an outcome, which awaits its projection."""
        task.state, task.place, task.claim = state, "done", None
        task.outcomes.append((task.fence, state))
        self.counters[f"finished:{task.type}:{state}"] += 1
        self.outbox.append((task.new.id, task.fence))

    def attempt(self, task: Expected, how: str) -> None:
        """Counts how an attempt ended."""
        self.counters[f"attempts:{task.type}:{how}"] += 1

    def finished(self, task: Expected, kind: str) -> None:
        """Its worker handed in an outcome."""
        if kind == "retry" and not task.cancelled:
            self.attempt(task, "retry")
            if task.attempts < task.new.max_attempts:
                self.delay(task)
            else:
                self.ended(task, TaskState.DEAD)
            return
        kind = "cancelled" if kind == "retry" else kind
        self.attempt(task, kind)
        self.ended(task, TaskState(kind))

    def handed_back(self, task: Expected, *, crashed: bool = False) -> None:
        """Its worker gave it back, maybe because the process that ran it broke: no attempt is spent, and a client's
        cancellation is not forgotten."""
        self.attempt(task, "worker_lost" if crashed else "handed_back")
        task.attempts -= 1
        task.crashes += crashed
        if task.cancelled:
            self.ended(task, TaskState.CANCELLED)
        else:
            self.back_to_queue(task)

    def replayed(self, task: Expected) -> None:
        """Once more from the queue, under a fence that no outcome has."""
        task.attempts, task.crashes, task.cancelled, task.stored = 0, 0, False, False
        task.fence += 1
        self.back_to_queue(task)
        self.counters[f"replayed:{task.type}"] += 1

    def lost(self, task: Expected, *, alone: bool) -> None:
        """Its worker's lease is over. A crash in company costs no attempt; a suspect was in a process of its own."""
        self.attempt(task, "worker_lost")
        if task.cancelled:
            self.ended(task, TaskState.CANCELLED)
            return
        suspect = task.crashes >= SUSPECT
        alone = alone and not suspect
        if not alone:
            task.attempts -= 1
            task.crashes += not suspect
        if alone and task.attempts >= task.new.max_attempts:
            self.ended(task, TaskState.DEAD)
        else:
            self.back_to_queue(task)

    def settled(self, task_id: str, fence: int, *, accepted: bool) -> None:
        """A projector is done with an outcome; another one may have been before."""
        if (task_id, fence) in self.outbox:
            self.outbox.remove((task_id, fence))
        task = self.tasks[task_id]
        if task.state in DONE and task.fence == fence:
            task.stored = task.stored or accepted
            if accepted and task.state == "succeeded":
                task.journal = {}  # it is never replayed
