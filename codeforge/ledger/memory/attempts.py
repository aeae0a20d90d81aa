"""The ledger in memory, as workers see it."""

from collections.abc import Collection, Sequence
from dataclasses import asdict

import orjson

from codeforge.errors import StaleClaim
from codeforge.ledger.keys import ALONE, COMPANY, MAX_PER_CALL, SUSPECT
from codeforge.ledger.memory.places import MemoryPlaces
from codeforge.ledger.memory.state import Row
from codeforge.ledger.port import ClaimedTask, Outcome, WorkerRecord
from codeforge.task import Claim, ModelCall, Progress, TaskFailure, TaskState, Usage

HANDED_BACK = ":handed_back"


class MemoryAttempts(MemoryPlaces):
    """Leases, claims, and the writes of a running task."""

    async def claim(
        self, task_id: str, worker: str, claim_id: str, *, room: Collection[int] = COMPANY
    ) -> ClaimedTask | None:
        """See `Ledger.claim`."""
        await self._reached()
        now = self.now_ms()
        if self.leases.get(worker, 0) <= now:
            raise StaleClaim("the worker holds no lease")
        row = self._row(task_id)
        if row is None:
            return None
        if row.task.state is TaskState.RUNNING and row.claim_id == claim_id:
            return _claimed(row)
        crashes = min(row.task.crashes, ALONE)
        if crashes >= SUSPECT and crashes not in room:
            return None
        queued_at = self.queued[row.task.type].get(task_id)
        if queued_at is None or self._turned_back(row):
            return None
        row.claim_id, row.worker = claim_id, worker
        row.set(state=TaskState.RUNNING, fence=row.task.fence + 1, attempts=row.task.attempts + 1, started_at=now)
        self._move(row, "running", now + row.task.timeout_s * 1000)
        self._observe("wait", row.task, queued_at, now)
        self._event(row, "running", {"state": "running", "attempt": row.task.attempts})
        return _claimed(row)

    async def state_of(self, task_id: str) -> TaskState | None:
        """See `Ledger.state_of`."""
        await self._reached()
        row = self._row(task_id)
        return None if row is None else row.task.state

    async def record_step(
        self, claim: Claim, name: str, value: bytes, call: ModelCall | None, *, paid: bool = False
    ) -> None:
        """See `Ledger.record_step`."""
        await self._reached()
        if call is None and not paid:
            self._need_memory()
        row = self._owned(claim)
        if name in row.journal:
            return
        row.journal[name] = value
        if call is None:
            return
        row.calls.append(call)
        row.set(usage=row.task.usage + Usage(call.input_tokens, call.output_tokens, call.usd))
        model = self._model_label(call.model, known=True)
        self.counters[f"llm_requests:{model}:ok"] += 1
        self.counters[f"llm_tokens:{model}:input"] += call.input_tokens
        self.counters[f"llm_tokens:{model}:output"] += call.output_tokens
        self.counters[f"llm_cost:{row.task.type}:{model}"] += call.usd

    async def count_failed_call(self, model: str, code: str, *, own: bool = False) -> None:
        """See `Ledger.count_failed_call`."""
        await self._reached()
        self.counters[f"llm_requests:{self._model_label(model, known=own)}:{code}"] += 1

    async def begin_call(self, claim: Claim, name: str) -> bool:
        """See `Ledger.begin_call`."""
        await self._reached()
        self._need_memory()
        row = self._owned(claim)
        before, row.begun[name] = row.begun.get(name), claim.fence
        repeated = before is not None and before != claim.fence
        if repeated:
            self.counters[f"calls_repeated:{row.task.type}"] += 1
        return not repeated

    async def suspect(self, claim: Claim) -> None:
        """See `Ledger.suspect`."""
        await self._reached()
        self._owned(claim).set(crashes=ALONE)

    async def emit(self, claim: Claim, kind: str, data: bytes) -> None:
        """See `Ledger.emit`."""
        await self._reached()
        self._event(self._owned(claim), kind, orjson.loads(data))

    async def progress(self, claim: Claim, progress: Progress) -> None:
        """See `Ledger.progress`."""
        await self._reached()
        row = self._owned(claim)
        row.set(progress=progress)
        self._event(row, "progress", asdict(progress))

    async def finish(self, claim: Claim, outcome: Outcome) -> TaskState:
        """See `Ledger.finish`."""
        await self._reached()
        row = self._row(claim.task_id)
        if row is not None and (row.task.fence, row.ended_by) == (claim.fence, claim.claim_id):
            return row.task.state  # the same call again, because its answer was lost
        row = self._owned(claim)
        row.ended_by = claim.claim_id
        if outcome.error is not None:
            row.set(error=outcome.error)
            self._note_reason(row, outcome.error)
        if outcome.kind == "retry" and not row.cancelled:
            return self._retry(row, outcome)
        kind = "cancelled" if outcome.kind == "retry" else outcome.kind
        self.counters[f"attempts:{row.task.type}:{kind}"] += 1
        if kind == "succeeded":
            row.set(result=outcome.result, error=None)
            for name, n in outcome.counts.items():
                self.counters[name] += n
        self._terminate(row, TaskState(kind))
        return row.task.state

    def _retry(self, row: Row, outcome: Outcome) -> TaskState:
        task = row.task
        self.counters[f"attempts:{task.type}:retry"] += 1
        if task.attempts >= task.max_attempts:
            self._terminate(row, TaskState.DEAD)
            return row.task.state
        due = self.now_ms() + int(outcome.retry_delay_s * 1000)
        self._move(row, "delayed", due)
        row.worker = ""
        row.set(state=TaskState.QUEUED, not_before=due)
        error = None if outcome.error is None else asdict(outcome.error)
        self._event(row, "retry", {"state": "queued", "attempt": task.attempts, "not_before": due, "error": error})
        self._open_gates()
        return row.task.state

    async def hand_back(self, claim: Claim, *, crashed: bool = False) -> None:
        """See `Ledger.hand_back`."""
        await self._reached()
        row = self._row(claim.task_id)
        if row is not None and (row.task.fence, row.ended_by) == (claim.fence, claim.claim_id + HANDED_BACK):
            return  # the same call again, because its answer was lost
        row = self._owned(claim)
        row.ended_by = claim.claim_id + HANDED_BACK
        attempt = row.task.attempts
        row.set(attempts=attempt - 1, crashes=row.task.crashes + crashed)
        self.counters[f"attempts:{row.task.type}:{'worker_lost' if crashed else 'handed_back'}"] += 1
        if row.cancelled:  # the next worker would not hear of the cancellation
            self._terminate(row, TaskState.CANCELLED, TaskFailure("cancelled", "cancelled by the client", False))
            return
        row.worker = ""
        self._enqueue(row)
        if crashed:
            self._tell_of_crash(row, attempt)
        else:
            self._event(row, "handed_back", {"state": "queued"})
        self._open_gates()

    async def renew_lease(self, worker: WorkerRecord, heard: Sequence[str] = ()) -> Sequence[str]:
        """See `Ledger.renew_lease`."""
        await self._reached()
        self.leases[worker.id] = self.now_ms() + self._lease_ms
        self.workers[worker.id] = worker
        self._in_company.discard(worker.id)
        self._cancels[worker.id].difference_update(heard)
        return sorted(self._cancels[worker.id])

    async def strays(self, worker: str, known: Collection[str]) -> Sequence[Claim]:
        """See `Ledger.strays`."""
        await self._reached()
        return [
            _claimed(row).claim
            for task_id, row in sorted(self.rows.items())
            if row.task.state is TaskState.RUNNING and row.worker == worker and task_id not in known
        ][:MAX_PER_CALL]

    async def end_lease(self, worker: str) -> None:
        """See `Ledger.end_lease`."""
        await self._reached()
        self.leases[worker] = 0
        self.workers.pop(worker, None)
        self._cancels.pop(worker, None)


def _claimed(row: Row) -> ClaimedTask:
    task = row.task
    return ClaimedTask(task, Claim(task.id, task.type, row.worker, task.fence, row.claim_id), dict(row.journal))
