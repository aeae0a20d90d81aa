"""Soaks the service: `python -m tests.soak [--minutes 20] [--rate 100] [--report docs/soak.md]`.

It starts `codeforge up` on embedded engines, a local model server and a real Prometheus (on PATH), submits at the rate,
kills a process now and then, and stops for a moment three times to compare Prometheus with the ledger. The report
replaces what stands between the two marks in the file. The exit code is 1 when a task is missing, or a number differs.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis

from tests.acceptance.stack import Stack, running_stack
from tests.soak.agreement import Agreement, agreement, lag, quiet, waiting
from tests.soak.load import Load
from tests.soak.prometheus import Prometheus
from tests.soak.report import render, write
from tests.soak.samples import Samples, families

PARTS = 3
"""The run in so many parts; after each everything comes to rest, and the numbers are compared."""

SAMPLE_S = 5.0
RETENTION_S = 60
LATENCY_S = 1.0
PARTITIONS = 4
PARKED = 8
VICTIMS = ("worker-coding", "worker-scrape", "projector", "worker-coding", "api", "reaper", "worker-debate")
SETTINGS = {
    "RETENTION_S": str(RETENTION_S),
    "ALLOW_PRIVATE_HOSTS": "127.0.0.1",
    "OUTBOX_PARTITIONS": str(PARTITIONS),
    "MAX_CONCURRENT_TASKS": "500",
}


@dataclass
class Soak:
    """What a run found."""

    rate: float
    seconds: float
    samples: Samples = field(default_factory=Samples)
    agreements: list[Agreement] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    cancelled: int = 0
    retried: int = 0
    resets: float = 0.0
    firing: set[str] = field(default_factory=set)
    keys_before: Counter[str] = field(default_factory=Counter)
    keys_after: Counter[str] = field(default_factory=Counter)
    busy: float = 0.0

    @property
    def missing(self) -> int:
        """Accepted tasks that did not end, by the ledger's own counts."""
        ledger = self.agreements[-1].ledger
        ended = sum(value for name, value in ledger.items() if name[0] == "finished")
        return int(sum(self.accepted.values()) - ended)

    @property
    def sound(self) -> bool:
        """Nothing is missing, and no number differs."""
        return self.missing == 0 and not any(one.differences for one in self.agreements) and self.resets == 0


@contextmanager
def server(module: str, *options: str) -> Iterator[str]:
    """A local server as a program of its own; gives the address that it prints."""
    command = [sys.executable, "-m", module, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)


async def soak(stack: Stack, site: str, directory: Path, rate: float, seconds: float) -> Soak:
    """The whole run."""
    found = Soak(rate, seconds)
    load = Load(stack.ready["api"], site, rate)
    with ExitStack() as open_:
        redis = open_.enter_context(Redis.from_url(stack.ready["redis"]))
        prometheus = open_.enter_context(Prometheus(directory / "prometheus", stack.ready["api"]))
        found.keys_before = families(redis)
        busy = asyncio.create_task(_sampled(found, stack, redis, prometheus))
        for part in range(PARTS):
            async with asyncio.TaskGroup() as group:
                killer = group.create_task(_kills(found, stack, part, seconds / PARTS))
                await load.run(seconds / PARTS)
                killer.cancel()
            parked = await load.parked(PARKED)
            await quiet(redis, PARTITIONS)
            when = f"after {(part + 1) * seconds / PARTS / 60:.1f} minutes of load"
            found.agreements.append(await agreement(f"{when}, {PARKED} tasks parked", redis, prometheus))
            await load.called_off(parked)
        await quiet(redis, PARTITIONS)
        found.agreements.append(await agreement("at the end", redis, prometheus))
        found.resets = sum(prometheus.values("max(resets(codeforge_tasks_submitted_total[6h]))").values())
        found.firing = prometheus.firing()
        await asyncio.sleep(2 * RETENTION_S)  # rows go by their own time
        found.keys_after = families(redis)
        busy.cancel()
        with suppress(asyncio.CancelledError):
            await busy
    found.accepted, found.cancelled, found.retried = load.accepted, len(load.cancelled), load.retried
    await load.close()
    return found


async def _sampled(found: Soak, stack: Stack, redis: Redis, prometheus: Prometheus) -> None:
    while True:
        pids: Mapping[str, int] = stack.ready["pids"] | {"prometheus": prometheus.pid}
        behind = lag(redis, PARTITIONS)
        await asyncio.to_thread(found.samples.take, pids, redis, waiting(redis, PARTITIONS) - behind, behind)
        await asyncio.sleep(SAMPLE_S)


async def _kills(found: Soak, stack: Stack, part: int, seconds: float) -> None:
    """Kills one after the other, evenly spread over the part, never in its last quarter."""
    victims = [victim for number, victim in enumerate(VICTIMS) if number % PARTS == part]
    for victim in victims:
        await asyncio.sleep(0.75 * seconds / len(victims))
        os.kill(stack.ready["pids"][victim], signal.SIGKILL)  # a child of our own stack, by its id
        found.kills[victim] += 1


def main() -> int:
    """Runs it and prints the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=100.0, help="tasks a second")
    parser.add_argument("--report", type=Path, help="a page with the two marks")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as name,
        server("tests.servers.model", "--latency-s", str(LATENCY_S)) as model,
        server("tests.servers.site") as site,
        running_stack(Path(name) / "data", {**SETTINGS, "LLM_BASE_URL": model}, "--workers", "each") as stack,
    ):
        began = time.monotonic()
        found = asyncio.run(soak(stack, site, Path(name), options.rate, options.minutes * 60))
        found.busy = time.monotonic() - began
    text = render(found)
    print(text)  # noqa: T201  # a program's output
    if options.report is not None:
        write(options.report, text)
    return 0 if found.sound else 1


if __name__ == "__main__":
    sys.exit(main())
