"""The ledger in memory, as the projector sees it."""

from collections.abc import Mapping, Sequence

from codeforge.ledger import keys
from codeforge.ledger.memory.state import Entry, MemoryState, Row
from codeforge.ledger.outbox import stream_position
from codeforge.ledger.outbox_port import DeadLetter
from codeforge.ledger.port import OutboxEntry
from codeforge.task import Task, TaskState


class MemoryOutbox(MemoryState):
    """Partitions and their entries."""

    async def acquire(self, owner: str, ttl_s: float) -> Sequence[int]:
        """See `Outbox.acquire`."""
        await self._reached()
        now, count = self.now_ms(), len(self.outbox)
        self._projectors[owner] = now + int(ttl_s * 1000)
        live = sorted(name for name, until in self._projectors.items() if until > now)
        share = count // len(live) + (live.index(owner) < count % len(live))
        held = self._held(owner)
        for number in held[share:]:
            self._let_go(f"outbox:{number}", owner)
        for number in [*held[:share], *range(count)]:
            if len(self._held(owner)) < share or number in held[:share]:
                self._hold(f"outbox:{number}", owner, ttl_s)
        return self._held(owner)

    async def renew(self, owner: str, ttl_s: float) -> None:
        """See `Outbox.renew`."""
        await self._reached()
        self._projectors[owner] = self.now_ms() + int(ttl_s * 1000)
        for number in self._held(owner):
            self._hold(f"outbox:{number}", owner, ttl_s)

    def _held(self, owner: str) -> list[int]:
        now = self.now_ms()
        locks = [self._locks.get(f"outbox:{number}", ("", 0)) for number in range(len(self.outbox))]
        return [number for number, (holder, until) in enumerate(locks) if holder == owner and until > now]

    async def release(self, owner: str) -> None:
        """See `Outbox.release`."""
        await self._reached()
        self._projectors.pop(owner, None)
        for number in range(len(self.outbox)):
            self._let_go(f"outbox:{number}", owner)

    async def read(
        self, partitions: Sequence[int], max_entries: int, max_bytes: int, behind: Sequence[OutboxEntry] = ()
    ) -> Sequence[OutboxEntry]:
        """See `Outbox.read`."""
        await self._reached()
        last = {entry.partition: stream_position(entry.entry_id) for entry in behind}
        heads = sorted(
            (
                (number, entry)
                for number in partitions
                for entry in self.outbox[number]
                if number not in last or stream_position(entry.entry_id) > last[number]
            ),
            key=lambda head: (*stream_position(head[1].entry_id), head[0]),
        )
        found: list[OutboxEntry] = []
        size = 0
        for number, entry in heads[:max_entries]:
            if found and size >= max_bytes:
                break
            row = self._row(entry.task_id)
            size += _size(row.task) if row else 0
            found.append(self._looked_up(number, entry))
        return found

    def _looked_up(self, number: int, entry: Entry) -> OutboxEntry:
        row = self._row(entry.task_id)
        if row is None:
            return OutboxEntry(number, entry.entry_id, entry.task_id, entry.fence, None)
        current = row.task.state.terminal and row.task.fence == entry.fence
        task = row.task if current else None
        return OutboxEntry(number, entry.entry_id, entry.task_id, entry.fence, task, tuple(row.calls))

    async def wait(self, partitions: Sequence[int], timeout_s: float) -> None:
        """See `Outbox.wait`."""
        await self._reached()
        await self._until(lambda: any(self.outbox[number] for number in partitions), timeout_s)

    async def settle(self, entries: Sequence[OutboxEntry], rejected: Mapping[str, str]) -> None:
        """See `Outbox.settle`."""
        await self._reached()
        for entry in entries:
            row, reason = self._row(entry.task_id), rejected.get(entry.task_id, "")
            kept = [other for other in self.outbox[entry.partition] if other.entry_id != entry.entry_id]
            there = len(kept) < len(self.outbox[entry.partition])
            self.outbox[entry.partition] = kept
            if there and row is not None and row.task.fence == entry.fence and row.task.finished_at is not None:
                row.outbox_bytes = None
                if reason:
                    row.letter = self._stream_id()
                    self.letters.append(DeadLetter(row.letter, entry.task_id, entry.fence, reason, self.now_ms()))
                else:
                    row.set(stored=True)
                    self._let_go_of(row)
        while len(self.letters) > keys.MAX_LETTERS:
            self._trimmed(self.letters.pop(0))

    def _trimmed(self, letter: DeadLetter) -> None:
        row = self._row(letter.task_id)
        if row is None or row.task.stored or row.outbox_bytes is not None:
            return
        if (row.task.fence, row.letter) == (letter.fence, letter.id):
            self._let_go_of(row)

    def _let_go_of(self, row: Row) -> None:
        row.expires_at = self.now_ms() + self._retention.of(row.task.state) * 1000
        if row.task.state is TaskState.SUCCEEDED:
            row.journal, row.begun = {}, {}


def _size(task: Task) -> int:
    return len(task.result or b"") + len(task.input)
