"""What the processes and the ledger's keys take, sample by sample, and how fast that grows."""

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import psutil
from redis import Redis

WARM_UP_PART = 0.25
"""Of the time, at the beginning, in which caches may fill: no slope is taken of it."""

_FAMILY = re.compile(r"^((?:cf:)?[A-Za-z_]+)")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a process: seconds since the start, proportional set size in MB, open files, threads."""

    at_s: float
    pid: int
    memory_mb: float
    files: int
    threads: int


@dataclass(frozen=True, slots=True)
class Growth:
    """Of one process, after it warmed up: the least squares line through its memory, and open files at both ends."""

    seconds: float
    first_mb: float
    last_mb: float
    mb_per_hour: float
    files: tuple[int, int]


@dataclass
class Samples:
    """All samples of a run, by the process's name."""

    began: float = field(default_factory=time.monotonic)
    processes: dict[str, list[Sample]] = field(default_factory=dict)
    keys: list[tuple[float, int]] = field(default_factory=list)
    lag: list[tuple[float, int, int]] = field(default_factory=list)

    def take(self, pids: Mapping[str, int], redis: Redis, queued: int, outbox: int) -> None:
        """Looks at all of them once. A process that is gone in this moment has no sample."""
        now = time.monotonic() - self.began
        for name, pid in pids.items():
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                memory = process.memory_full_info().pss / 1e6
                self.processes.setdefault(name, []).append(
                    Sample(now, pid, memory, process.num_fds(), process.num_threads())
                )
        self.keys.append((now, int(redis.dbsize())))
        self.lag.append((now, queued, outbox))

    def growth(self, name: str) -> Growth | None:
        """Of the process of this name that lived longest; None when it was seen too seldom."""
        every = self.processes.get(name, [])
        pids = Counter(sample.pid for sample in every)
        if not pids:
            return None
        pid, _ = pids.most_common(1)[0]
        own = [sample for sample in every if sample.pid == pid]
        warm = own[0].at_s + WARM_UP_PART * (own[-1].at_s - own[0].at_s)
        own = [sample for sample in own if sample.at_s >= warm]
        if len(own) < 3:
            return None
        slope = slope_of([(sample.at_s, sample.memory_mb) for sample in own])
        return Growth(
            own[-1].at_s - own[0].at_s, own[0].memory_mb, own[-1].memory_mb, slope * 3600, (own[0].files, own[-1].files)
        )


def slope_of(points: Sequence[tuple[float, float]]) -> float:
    """Of the least squares line."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def families(redis: Redis) -> Counter[str]:
    """How many keys there are of each kind: the name up to its first number or separator after `cf:`."""
    found: Counter[str] = Counter()
    for key in redis.scan_iter(count=1_000):
        match = _FAMILY.match(key.decode(errors="replace"))
        found[match[1] if match else "other"] += 1
    return found
