"""Whether Prometheus agrees with the ledger, number by number, while nothing moves."""

import asyncio
import time
from dataclasses import dataclass

from redis import Redis

from codeforge.ledger import keys
from codeforge.worker_types import WorkerType
from tests.soak.prometheus import Prometheus

QUIET_S = 180.0
POLL_S = 0.5
Numbers = dict[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Ledger and Prometheus at one quiet moment. A number is named by its metric and its labels."""

    when: str
    ledger: Numbers
    prometheus: Numbers

    @property
    def ledger_total(self) -> float:
        """Tasks that were submitted until then."""
        return sum(value for name, value in self.ledger.items() if name[0] == "submitted")

    @property
    def differences(self) -> dict[tuple[str, ...], tuple[float | None, float | None]]:
        """Those numbers that are not the same on both sides; none is expected."""
        names = self.ledger.keys() | self.prometheus.keys()
        pairs = {name: (self.ledger.get(name), self.prometheus.get(name)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def ledger_numbers(redis: Redis) -> Numbers:
    """Read from the keys themselves, past all code that exports them; zeros left out."""
    numbers: Numbers = {}
    for field, value in redis.hgetall(keys.STATS).items():
        name, *labels = field.decode().split(":")
        if name in ("submitted", "finished", "attempts"):
            numbers[(name, *labels)] = float(value)
    for worker_type in WorkerType:
        depths = {"queued": keys.queued, "running": keys.running, "delayed": keys.delayed, "dead": keys.dead}
        for name, key in depths.items():
            numbers[name, worker_type.value] = float(redis.zcard(key(worker_type)))
    return {name: value for name, value in numbers.items() if value}


def prometheus_numbers(prometheus: Prometheus) -> Numbers:
    """The same, as it was scraped, over all replicas of the API."""
    numbers: Numbers = {}
    counters = {
        "submitted": ("codeforge_tasks_submitted_total", "type"),
        "finished": ("codeforge_tasks_finished_total", "type", "outcome"),
        "attempts": ("codeforge_task_attempts_total", "type", "reason"),
    }
    gauges = {name: (f"codeforge_tasks_{name}", "type") for name in ("queued", "running", "delayed", "dead")}
    for name, (metric, *labels) in (counters | gauges).items():
        found = prometheus.values(f"max by ({', '.join(labels)}) ({metric})", *labels)
        numbers |= {(name, *values): value for values, value in found.items() if value}
    return numbers


async def quiet(redis: Redis, partitions: int) -> None:
    """Waits until no task is queued, runs, or awaits its projection. Raises TimeoutError."""
    deadline = time.monotonic() + QUIET_S
    while left := waiting(redis, partitions):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not quiet after {QUIET_S:.0f} s: {left} tasks are queued, run or await a store")
        await asyncio.sleep(POLL_S)


def waiting(redis: Redis, partitions: int) -> int:
    """Tasks that are queued or run, and results that await the stores."""
    zsets = [key(worker_type) for worker_type in WorkerType for key in (keys.queued, keys.running)]
    return int(sum(redis.zcard(key) for key in zsets)) + lag(redis, partitions)


def lag(redis: Redis, partitions: int) -> int:
    """Results that await the stores."""
    return int(sum(redis.xlen(keys.outbox(number)) for number in range(partitions)))


async def agreement(when: str, redis: Redis, prometheus: Prometheus) -> Agreement:
    """Compares, once a scrape has come after what is now. Raises TimeoutError."""
    moment, deadline = time.time(), time.monotonic() + QUIET_S
    while not prometheus.scraped_since(moment):
        if time.monotonic() > deadline:
            raise TimeoutError("Prometheus does not get to scrape the API")
        await asyncio.sleep(POLL_S)
    return Agreement(when, ledger_numbers(redis), prometheus_numbers(prometheus))
