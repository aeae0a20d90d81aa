"""Memory and file descriptors of every process, and what waits, sampled from outside."""

import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import linear_regression, median

import psutil
from redis import Redis

from tests.acceptance.stack import Stack
from tests.servers.prometheus import Prometheus

WARM_S = 120.0
"""A process is not judged by how it grows at first: caches and pools fill."""

VARIES = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=[:@])[\w.-]*[0-9a-f]{8,}[\w.@-]*|\d+")
WAITING = {
    "queued": "sum(max by (type) (codeforge_tasks_queued))",
    "running": "sum(max by (type) (codeforge_tasks_running))",
    "outbox": "max(codeforge_outbox_lag)",
    "oldest queued, s": "max(codeforge_oldest_queued_seconds)",
    "scrape, ms": "1000 * max(scrape_duration_seconds)",
}


@dataclass
class Life:
    """One process from its start on: seconds since the soak's, resident megabytes, open descriptors."""

    at_s: list[float] = field(default_factory=list)
    mb: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)

    @property
    def warm(self) -> int:
        """Where the samples begin that are judged."""
        return next((n for n, at in enumerate(self.at_s) if at - self.at_s[0] >= WARM_S), len(self.at_s))

    @property
    def slope_mb_h(self) -> float | None:
        """By least squares over the warm samples; None when there are too few."""
        at_s, mb = self.at_s[self.warm :], self.mb[self.warm :]
        return linear_regression(at_s, mb).slope * 3600 if len(at_s) > 5 else None


class Watch:
    """Everything that was sampled."""

    def __init__(self, stack: Stack, prometheus: Prometheus) -> None:
        self.lives: dict[tuple[str, int], Life] = {}
        self.waiting: dict[str, list[float]] = {name: [] for name in WAITING}
        self._stack = stack
        self._prometheus = prometheus
        self._began = time.monotonic()

    def sample(self) -> None:
        """Once. A process that is just being replaced is left out."""
        assert self._stack.process is not None
        now = time.monotonic() - self._began
        for name, pid in {**self._stack.ready["pids"], "up": self._stack.process.pid}.items():
            try:
                process = psutil.Process(pid)
                life = self.lives.setdefault((name, pid), Life())
                mb, descriptors = process.memory_info().rss / 1e6, process.num_fds()
            except psutil.NoSuchProcess:
                continue
            life.at_s.append(now)
            life.mb.append(mb)
            life.descriptors.append(descriptors)
        for name, query in WAITING.items():
            self.waiting[name] += [value for _, value in self._prometheus.query(query)]

    def longest(self) -> dict[str, Life]:
        """Of each name the process that was watched for longest."""
        found: dict[str, Life] = {}
        for (name, _), life in self.lives.items():
            if name not in found or len(life.at_s) > len(found[name].at_s):
                found[name] = life
        return found

    def quarters(self, name: str) -> Sequence[tuple[float, float]]:
        """Median and greatest of what waited in each quarter of the run."""
        values = self.waiting[name]
        size = max(1, len(values) // 4)
        parts = [values[n * size : (n + 1) * size] for n in range(4)]
        return [(median(part), max(part)) for part in parts if part]


def keys_by_kind(redis: Redis) -> Counter[str]:
    """How many keys there are of each kind: ids and numbers in their names are left out."""
    return Counter(VARIES.sub("*", key.decode(errors="replace")) for key in redis.scan_iter(count=1_000))
