"""The ledger in memory, as the reaper sees it."""

from collections import Counter

from codeforge.ledger.keys import MAX_PER_CALL, SUSPECT
from codeforge.ledger.memory.places import MemoryPlaces
from codeforge.ledger.memory.state import Row, oldest
from codeforge.ledger.port import ReapReport
from codeforge.ledger.reaper import OUTAGE_GAP_MS, OVERDUE_GRACE_MS, RING_GRACE_MS, RING_LONGEST_MS, RING_SUSPECT_MS
from codeforge.task import TaskFailure, TaskState
from codeforge.worker_types import Priority, WorkerType, queue_name

LEADER = "reaper"


class MemoryReaper(MemoryPlaces):
    """Leadership, and the reaper's passes."""

    async def lead(self, owner: str, ttl_s: float) -> bool:
        """See `ReaperLedger.lead`."""
        await self._reached()
        return self._hold(LEADER, owner, ttl_s)

    async def step_down(self, owner: str) -> None:
        """See `ReaperLedger.step_down`."""
        await self._reached()
        self._let_go(LEADER, owner)

    async def reap(self) -> ReapReport:
        """See `ReaperLedger.reap`."""
        await self._reached()
        judging = self._begin_pass()
        timed_out = sum(self._end_overdue(worker_type) for worker_type in WorkerType) if judging else 0
        promoted = sum(self._promote(worker_type) for worker_type in WorkerType)
        rung = sum(self._ring_missing(worker_type) for worker_type in WorkerType)
        taken_back, dead = self._reap_leases() if judging else (0, 0)
        return ReapReport(rung, promoted, taken_back, dead, timed_out, self._open_gates())

    def _begin_pass(self) -> bool:
        """Whether leases and time limits may be judged: not within a lease after an outage of the ledger."""
        now = self.now_ms()
        if self.last_pass is not None and now - self.last_pass > OUTAGE_GAP_MS:
            self._grace_until = now + self._lease_ms
        self.last_pass = now
        return now >= self._grace_until

    def _end_overdue(self, worker_type: WorkerType) -> int:
        ended = 0
        for task_id in oldest(self.running[worker_type], self.now_ms() - OVERDUE_GRACE_MS)[:MAX_PER_CALL]:
            row = self._row(task_id)
            if row is None:
                del self.running[worker_type][task_id]
                continue
            self.counters[f"attempts:{worker_type}:timeout"] += 1
            self._tell(row)
            failure = TaskFailure("timeout", "the task ran longer than its timeout_s", False)
            self._terminate(row, TaskState.FAILED, failure)
            ended += 1
        return ended

    def _promote(self, worker_type: WorkerType) -> int:
        ids = oldest(self.delayed[worker_type], self.now_ms())[:MAX_PER_CALL]
        for task_id in ids:
            del self.delayed[worker_type][task_id]
            if row := self._row(task_id):
                self._enqueue(row)
        return len(ids)

    def _ring_missing(self, worker_type: WorkerType) -> int:
        queued = self.queued[worker_type]
        in_queues = {priority: len(self.messages[queue_name(worker_type, priority)]) for priority in Priority}
        lacking = min(len(queued) - sum(in_queues.values()), MAX_PER_CALL)
        ids = oldest(queued, self.now_ms() - RING_GRACE_MS)
        urgent = [] if in_queues[Priority.HIGH] else [one for one in ids if self._is_urgent(one)][:MAX_PER_CALL]
        rung = sum(self._ring_again(worker_type, task_id) for task_id in urgent)
        for task_id in ids[: MAX_PER_CALL - len(urgent)]:
            if rung >= lacking:
                break
            rung += self._ring_again(worker_type, task_id)
        return rung

    def _is_urgent(self, task_id: str) -> bool:
        row = self._row(task_id)
        return row is not None and row.task.priority is Priority.HIGH

    def _ring_again(self, worker_type: WorkerType, task_id: str) -> bool:
        """Whether it was rung for."""
        row = self._row(task_id)
        if row is None:
            del self.queued[worker_type][task_id]
            return False
        if self.now_ms() - (row.rung_at or 0) < min(_longest_pause(row), RING_GRACE_MS * 2**row.rings):
            return False
        self._ring_for(row)
        return True

    def _reap_leases(self) -> tuple[int, int]:
        """(taken back, dead)."""
        over = {worker for worker, until in self.leases.items() if until <= self.now_ms()}
        lost = [row for row in self.rows.values() if row.task.state is TaskState.RUNNING and row.worker in over]
        taken = dead = 0
        company = Counter(row.worker for row in lost)
        self._in_company |= {worker for worker, aboard in company.items() if aboard > 1}
        for row in lost[:MAX_PER_CALL]:
            state = self._take_back(row, alone=row.worker not in self._in_company)
            taken += state is TaskState.QUEUED
            dead += state is TaskState.DEAD
        if len(lost) <= MAX_PER_CALL:
            for worker in over:
                del self.leases[worker]
                if self.workers.pop(worker, None):  # one that ended in order is no more among them
                    self.counters["leases_expired"] += 1
                self._cancels.pop(worker, None)
                self._in_company.discard(worker)
        return taken, dead

    def _take_back(self, row: Row, *, alone: bool) -> TaskState:
        task = row.task
        self.counters[f"attempts:{task.type}:worker_lost"] += 1
        if row.cancelled:
            self._terminate(row, TaskState.CANCELLED, TaskFailure("cancelled", "cancelled by the client", False))
            return row.task.state
        if task.crashes >= SUSPECT:  # it ran in a child of the worker, which did not die of it
            row.set(attempts=task.attempts - 1)
        elif alone:
            message = "the worker stopped answering while it ran this task alone"
            self._note_reason(row, TaskFailure("worker_lost", message, True))
            if task.attempts >= task.max_attempts:
                message = "the worker stopped answering while it ran the last attempt"
                self._terminate(row, TaskState.DEAD, TaskFailure("worker_lost", message, True))
                return row.task.state
        else:
            row.set(attempts=task.attempts - 1, crashes=task.crashes + 1)
        row.worker = ""
        self._enqueue(row)
        self._tell_of_crash(row, task.attempts)
        self._open_gates()
        return row.task.state

    async def forget(self) -> int:
        """See `ReaperLedger.forget`."""
        await self._reached()
        gone = 0
        for ids in self._index.values():
            expired = [task_id for task_id in sorted(ids)[:MAX_PER_CALL] if self._row(task_id) is None]
            ids.difference_update(expired)
            gone += len(expired)
        for places in self.dead.values():
            expired = [task_id for task_id in places if self._row(task_id) is None]
            for task_id in expired:
                del places[task_id]
            gone += len(expired)
        return gone


def _longest_pause(row: Row) -> int:
    return RING_SUSPECT_MS if row.task.crashes >= SUSPECT else RING_LONGEST_MS
