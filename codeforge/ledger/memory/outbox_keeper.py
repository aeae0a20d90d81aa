"""The ledger in memory: its outbox as an operator sees it."""

from collections.abc import AsyncIterator, Sequence

from codeforge.ledger.keys import MAX_PER_CALL
from codeforge.ledger.memory.state import Entry, MemoryState
from codeforge.ledger.outbox import stream_position
from codeforge.ledger.outbox_port import DeadLetter, OutboxState, PartitionState, Refill, Requeued


class MemoryOutboxKeeper(MemoryState):
    """What waits, what no store takes, and putting it back."""

    async def state(self) -> OutboxState:
        """See `OutboxKeeper.state`."""
        await self._reached()
        partitions = [self._partition(number, entries) for number, entries in enumerate(self.outbox)]
        return OutboxState(partitions, self.outbox_bytes, len(self.letters))

    def _partition(self, number: int, entries: Sequence[Entry]) -> PartitionState:
        now = self.now_ms()
        owner, until = self._locks.get(f"outbox:{number}", ("", 0))
        oldest_s = (now - stream_position(entries[0].entry_id)[0]) / 1000 if entries else 0.0
        return PartitionState(number, len(entries), oldest_s, owner if until > now else None)

    async def letters_after(self, after: str, limit: int) -> Sequence[DeadLetter]:
        """See `OutboxKeeper.letters_after`."""
        await self._reached()
        position = stream_position(after) if after else (-1, 0)
        return [letter for letter in self.letters if stream_position(letter.id) > position][:limit]

    async def retry(self, letters: Sequence[DeadLetter]) -> Sequence[Requeued]:
        """See `OutboxKeeper.retry`."""
        await self._reached()
        words = [self._requeue(letter.task_id, letter.fence) for letter in letters]
        removed = {letter.id for letter in letters}
        self.letters = [letter for letter in self.letters if letter.id not in removed]
        return words

    async def refill(self) -> AsyncIterator[Refill]:
        """See `OutboxKeeper.refill`."""
        total = sum(len(ids) for ids in self._index.values())
        seen = added = 0
        for tenant in sorted(self._index):
            ids = sorted(self._index[tenant])
            for start in range(0, len(ids), MAX_PER_CALL):
                await self._reached()
                words = [self._requeue(task_id, None) for task_id in ids[start : start + MAX_PER_CALL]]
                seen, added = seen + len(words), added + words.count(Requeued.QUEUED)
                yield Refill(seen, total, added)

    def _requeue(self, task_id: str, fence: int | None) -> Requeued:
        """A `fence` comes with a dead letter."""
        row = self._row(task_id)
        if row is None:
            return Requeued.GONE
        if not row.task.state.terminal or fence not in (None, row.task.fence):
            return Requeued.MOVED_ON
        if row.outbox_bytes is not None:
            return Requeued.WAITING
        if fence is not None and row.task.stored:
            return Requeued.STORED
        row.set(stored=False)
        row.expires_at = None
        self._await_projection(row)
        return Requeued.QUEUED
