"""Port: the outbox as an operator sees it: what waits, what no store takes, and how to have it projected again."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition: how many entries wait, how old the oldest is in seconds (0.0 where none is), and who owns it."""

    number: int
    entries: int
    oldest_s: float
    owner: str | None


@dataclass(frozen=True, slots=True)
class OutboxState:
    """The outbox at one moment. `bytes` is what its tasks hold of inputs and results, `dead_letters` a count."""

    partitions: Sequence[PartitionState]
    bytes: int
    dead_letters: int

    @property
    def entries(self) -> int:
        """How many wait in all partitions."""
        return sum(partition.entries for partition in self.partitions)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An outcome that a store refused for what it is. `at` is when, in milliseconds; `reason` begins with the store."""

    id: str
    task_id: str
    fence: int
    reason: str
    at: int


class Requeued(StrEnum):
    """What became of a task that was to be projected again. Only `queued` added an entry."""

    QUEUED = "queued"
    WAITING = "waiting"  # it has an entry already
    STORED = "stored"  # both stores have it by now
    MOVED_ON = "moved_on"  # it was replayed since, or runs
    GONE = "gone"  # the ledger let it go


@dataclass(frozen=True, slots=True)
class Refill:
    """How far a refill is: `seen` of `total` tasks looked at, `added` of them put into the outbox."""

    seen: int
    total: int
    added: int


class OutboxKeeper(Protocol):
    """The operator's side, over all tenants. Every method raises LedgerUnavailable."""

    async def state(self) -> OutboxState:
        """What waits, where, and whose it is."""
        ...

    async def letters_after(self, after: str, limit: int) -> Sequence[DeadLetter]:
        """The oldest dead letters behind the letter `after` ("" for the first), at most `limit`."""
        ...

    async def retry(self, letters: Sequence[DeadLetter]) -> Sequence[Requeued]:
        """Puts the letters' tasks back into the outbox and removes the letters, at most 500; in order, what became of
        each. An outcome that is not the task's last any more is dropped: it must not overwrite a newer one."""
        ...

    def refill(self) -> AsyncIterator[Refill]:
        """Puts every finished task that the ledger still keeps into the outbox, some hundred a step, oldest first.
        One that waits there already is left as it is, so that a refill may be repeated."""
        ...
