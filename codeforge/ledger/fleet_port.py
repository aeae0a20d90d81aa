"""Port: the workers as one who scales them sees them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from codeforge.ledger.port import LedgerSnapshot, WorkerRecord


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """A worker with a live lease, and how many tasks it runs."""

    worker: WorkerRecord
    running: int


class FleetLedger(Protocol):
    """Reads of all workers at once. All raise LedgerUnavailable."""

    async def snapshot(self) -> LedgerSnapshot:
        """Depths and counters."""
        ...

    async def loads(self) -> Sequence[WorkerLoad]:
        """The live workers."""
        ...

    async def add_counters(self, deltas: Mapping[str, float]) -> None:
        """Adds to counters that are exported as metrics."""
        ...
