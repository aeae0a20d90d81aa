"""What a deployment asks of Redis: commands, processor time and memory, from what a task was measured to cost."""

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass

from codeforge.capacity.events import EventLoop

BIN_S = 10
"""The peak is that of so many seconds."""


@dataclass(frozen=True, slots=True)
class RedisCosts:
    """What one task costs, as `codeforge capacity measure` measured it on the embedded Valkey: a scrape task with an
    input of 1 kB, a result of 4 kB and three journaled steps of 1 kB, through the ledger's own scripts.

    `*_commands` are those that clients send (a script is one), `*_us` the server's processor time in microseconds,
    `*_bytes` what a task holds. `pod_commands_s` is what an idle worker process sends a second: a heartbeat, and its
    waiting for messages. The defaults are medians of three times 4,000 tasks on two cores, with Valkey 8.1 (the bytes
    again since the server has `stream-node-max-bytes 512`, on a machine of half the speed); yours will differ.
    """

    submit_commands: float = 1.0
    submit_us: float = 149.0
    run_commands: float = 6.0
    run_us: float = 576.0
    store_commands: float = 0.1
    store_us: float = 94.0
    hand_back_commands: float = 1.0
    queued_bytes: float = 3_895.0
    running_bytes: float = 6_693.0
    kept_bytes: float = 8_597.0
    pod_commands_s: float = 2.0

    @property
    def task_commands(self) -> float:
        """From submission to storage."""
        return self.submit_commands + self.run_commands + self.store_commands

    @property
    def task_us(self) -> float:
        """Processor time of the server."""
        return self.submit_us + self.run_us + self.store_us


@dataclass(frozen=True, slots=True)
class RedisLoad:
    """Figures of a simulation."""

    mean_commands_s: float
    peak_commands_s: float
    peak_bytes: float


class RedisMeter:
    """Counts what the simulated deployment would send, and what it would keep."""

    def __init__(self, costs: RedisCosts, loop: EventLoop) -> None:
        self._costs = costs
        self._loop = loop
        self._bins: Counter[int] = Counter()
        self._bytes = 0.0
        self._peak_bytes = 0.0
        self._pods = [(0.0, 0)]

    def submitted(self) -> None:
        """A task came."""
        self._count(self._costs.submit_commands, self._costs.queued_bytes)

    def claimed(self) -> None:
        """A worker took one. Its commands are counted here, though its steps come later."""
        self._count(self._costs.run_commands, self._costs.running_bytes - self._costs.queued_bytes)

    def handed_back(self) -> None:
        """One went back to the queue; the journal stays, so it holds what a running one does."""
        self._count(self._costs.hand_back_commands, self._costs.queued_bytes - self._costs.running_bytes)

    def finished(self) -> None:
        """One ended and is kept. None expires within a simulated day: they are kept for a week by default."""
        self._count(self._costs.store_commands, self._costs.kept_bytes - self._costs.running_bytes)

    def pods(self, change: int) -> None:
        """So many worker processes more, or fewer."""
        self._pods.append((self._loop.now_s, self._pods[-1][1] + change))

    def _count(self, commands: float, size: float) -> None:
        self._bins[int(self._loop.now_s // BIN_S)] += round(commands)
        self._bytes += size
        self._peak_bytes = max(self._peak_bytes, self._bytes)

    def load(self) -> RedisLoad:
        """Until now."""
        moments = [at_s for at_s, _ in self._pods]
        ends = [*moments[1:], self._loop.now_s]
        pod_s = sum((end_s - at_s) * pods for (at_s, pods), end_s in zip(self._pods, ends, strict=True))
        total = sum(self._bins.values()) + pod_s * self._costs.pod_commands_s
        beats = [
            self._pods[bisect_right(moments, number * BIN_S + BIN_S) - 1][1] * self._costs.pod_commands_s
            for number in self._bins
        ]
        peaks = [count / BIN_S + beat for count, beat in zip(self._bins.values(), beats, strict=True)]
        return RedisLoad(total / max(self._loop.now_s, 1.0), max(peaks, default=0.0), self._peak_bytes)
