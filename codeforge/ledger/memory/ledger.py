"""The ledger in memory: all of its ports in one object."""

from collections.abc import Mapping, Sequence

from codeforge.ledger.fleet_port import FleetLedger, WorkerLoad
from codeforge.ledger.memory.attempts import MemoryAttempts
from codeforge.ledger.memory.outbox import MemoryOutbox
from codeforge.ledger.memory.outbox_keeper import MemoryOutboxKeeper
from codeforge.ledger.memory.reaper import MemoryReaper
from codeforge.ledger.memory.tasks import MemoryTasks
from codeforge.ledger.outbox_port import OutboxKeeper
from codeforge.ledger.port import Ledger, LedgerSnapshot, Outbox, QueueDepth, ReaperLedger
from codeforge.task import TaskState
from codeforge.worker_types import WorkerType


class MemoryLedger(
    MemoryTasks,
    MemoryAttempts,
    MemoryReaper,
    MemoryOutbox,
    MemoryOutboxKeeper,
    Ledger,
    ReaperLedger,
    Outbox,
    OutboxKeeper,
    FleetLedger,
):
    """Every transition happens between two turns of the event loop, and so is atomic. See `MemoryState`."""

    async def snapshot(self) -> LedgerSnapshot:
        """See `Ledger.snapshot`."""
        await self._reached()
        depths = {worker_type: self._depth(worker_type) for worker_type in WorkerType}
        return LedgerSnapshot(
            depths,
            sum(len(entries) for entries in self.outbox),
            dict(self.counters),
            outbox_bytes=self.outbox_bytes,
            outbox_dead=len(self.letters),
            exemplars=dict(self.exemplars),
        )

    def _depth(self, worker_type: WorkerType) -> QueueDepth:
        now, queued = self.now_ms(), self.queued[worker_type]
        live = [
            worker.slots
            for worker in self.workers.values()
            if self.leases.get(worker.id, 0) > now and worker_type in worker.types
        ]
        return QueueDepth(
            queued=len(queued),
            running=len(self.running[worker_type]),
            delayed=len(self.delayed[worker_type]),
            dead=len(self.dead[worker_type]),
            workers=len(live),
            slots=sum(live),
            held=len(self.held[worker_type]) + len(self.parked[worker_type]),
            held_by_tenant=len(self.held[worker_type]),
            oldest_queued_s=(now - min(queued.values())) / 1000 if queued else 0.0,
        )

    async def loads(self) -> Sequence[WorkerLoad]:
        """See `FleetLedger.loads`."""
        await self._reached()
        owners = [row.worker for row in self.rows.values() if row.task.state is TaskState.RUNNING]
        return [
            WorkerLoad(worker, owners.count(name))
            for name, worker in sorted(self.workers.items())
            if self.leases.get(name, 0) > self.now_ms()
        ]

    async def add_counters(self, deltas: Mapping[str, float]) -> None:
        """See `Ledger.add_counters`."""
        await self._reached()
        for name, delta in deltas.items():
            self.counters[name] += delta

    async def ping(self) -> None:
        """See `Ledger.ping`."""
        await self._reached()

    async def close(self) -> None:
        """Leaves word that it was called."""
        self.closed = True
