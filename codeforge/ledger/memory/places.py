"""Where tasks of the ledger in memory wait and run: `lua/places.lua` and `lua/endings.lua` in Python. What a tenant has
where is counted anew each time; the real ledger keeps it."""

from dataclasses import asdict
from typing import Any

from codeforge.ledger.admission import queue_full
from codeforge.ledger.keys import MAX_PER_CALL
from codeforge.ledger.memory.state import MemoryState, Message, Row
from codeforge.task import Task, TaskFailure, TaskState
from codeforge.worker_types import Priority, WorkerType, queue_name

WAITING = ("held", "parked", "queued", "delayed")
READY = ("parked", "queued")
RANKS = {priority: rank for rank, priority in enumerate(Priority)}
ROOMY = MAX_PER_CALL


class MemoryPlaces(MemoryState):
    """Moves between places, and the gates of the caps."""

    def count_of(self, tenant: str, *places: str, worker_type: WorkerType | None = None) -> int:
        """How many tasks the tenant has in these places, of one type or of all."""
        return sum(
            row.place in places and row.task.tenant == tenant and worker_type in (None, row.task.type)
            for row in self.rows.values()
        )

    def _move(self, row: Row, to: str, score: int = 0) -> None:
        task, now = row.task, self.now_ms()
        if row.place == "running":
            row.set(run_ms=task.run_ms + now - (task.started_at or now))
        if to == "running":
            row.set(wait_ms=task.wait_ms + (task.started_at or now) - (task.queued_at or now))
        for place in (*WAITING, "running"):
            getattr(self, place)[task.type].pop(task.id, None)
        if to:
            getattr(self, to)[task.type][task.id] = score
        row.place = to

    def _enqueue(self, row: Row) -> None:
        """It waits from now on: it is new, due, or given back."""
        row.set(state=TaskState.QUEUED, not_before=None, queued_at=self.now_ms())
        self._move(row, "")
        self._admit(row)

    def _admit(self, row: Row) -> None:
        """Takes a waiting task as far as the gates let it go."""
        task, now = row.task, self.now_ms()
        if row.place != "parked" and self._tenant_room(task.tenant, task.type) <= 0:
            self._move(row, "held", self._turn(row))
        elif self._deployment_room(task.type) <= 0:
            self._move(row, "parked", self._turn(row))
        else:
            if row.place in ("held", "parked"):
                self._observe("held", task, task.queued_at or now, now)
            self._move(row, "queued", now)
            self._ring_for(row)

    @staticmethod
    def _turn(row: Row) -> int:
        return RANKS[row.task.priority] * 10**13 + (row.task.queued_at or 0)

    def _tenant_room(self, tenant: str, worker_type: WorkerType) -> int:
        cap = self.caps.running.of(tenant)
        if not cap:
            return ROOMY
        return cap - self.count_of(tenant, "running") - self.count_of(tenant, *READY, worker_type=worker_type)

    def _deployment_room(self, worker_type: WorkerType) -> int:
        cap = self.caps.agents
        return cap - self._agents() - len(self.queued[worker_type]) if cap else ROOMY

    def _agents(self) -> int:
        return sum(len(running) for running in self.running.values())

    def _turned_back(self, row: Row) -> bool:
        """Whether a claim is over a cap; the task waits at the gate then, where it was in turn before."""
        tenant = row.task.tenant
        cap = self.caps.running.of(tenant)
        if cap and self.count_of(tenant, "running") >= cap:
            self._move(row, "held", self._turn(row))
        elif self.caps.agents and self._agents() >= self.caps.agents:
            self._move(row, "parked", self._turn(row))
        else:
            return False
        self._open_gates()
        return True

    def _open_gates(self) -> int:
        """Lets through what there is room for, the oldest of the highest priority first; answers how many went."""
        passed = 0
        for places, is_tenants in ((self.held, True), (self.parked, False)):
            for worker_type, waiting in places.items():
                for task_id in sorted(waiting, key=lambda name: (waiting[name], name)):
                    row = self.rows[task_id]
                    room = self._tenant_room(row.task.tenant, worker_type) if is_tenants else 1
                    if room > 0 and (is_tenants or self._deployment_room(worker_type) > 0):
                        self._admit(row)
                        passed += 1
        return passed

    def _check_queue(self, tenant: str, more: int) -> None:
        """Raises TenantQueueFull when the tenant may not have so many waiting tasks more."""
        cap = self.caps.queued.of(tenant)
        if cap and self.count_of(tenant, *WAITING) + more > cap:
            raise queue_full(self.caps, tenant)

    def _ring_for(self, row: Row) -> None:
        """Its first message has its own id, later ones `<id>:r<n>`."""
        row.rings += row.rung_at is not None
        row.rung_at = self.now_ms()
        task = row.task
        name = f"{task.id}:r{row.rings}" if row.rings else task.id
        self.messages[queue_name(task.type, task.priority)].append(Message(name, task.id))

    def _terminate(self, row: Row, state: TaskState, error: TaskFailure | None = None) -> None:
        """Ends a task: state, place, counters, final event and outbox entry."""
        now, task_id = self.now_ms(), row.task.id
        if error is not None:
            row.set(error=error)
        self._move(row, "")
        if row.worker and row.task.started_at is not None:
            self._observe("duration", row.task, row.task.started_at, now)
        row.worker = ""
        row.set(state=state, finished_at=now, not_before=None)
        if state is TaskState.DEAD:
            self.dead[row.task.type][task_id] = now
        self.counters[f"finished:{row.task.type}:{state}"] += 1
        self._event(row, state.value, _final_event(row.task))
        self._await_projection(row)
        self._open_gates()


def _final_event(task: Task) -> dict[str, Any]:
    usage = task.usage
    return {
        "state": task.state.value,
        "attempts": task.attempts,
        "usage": {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens, "usd": usage.usd},
        "wait_s": task.wait_ms / 1000,
        "run_s": task.run_ms / 1000,
        "sandbox_peak_bytes": None,
        "error": None if task.error is None else asdict(task.error),
    }
