"""The soak: `python -m tests.soak --minutes 20 --rate 100 [--report FILE]`.

A whole stack on embedded engines with a local model's service and a local site, tasks at a steady rate, a real
Prometheus that scrapes it every second, and workers that are killed (SIGKILL) on the way. It reports how memory and
descriptors of every process went, what waited, which keys stayed in Redis, and whether Prometheus agrees with the
ledger. The exit code is 1 when it does not, or when a task is missing.
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
from collections.abc import Callable
from pathlib import Path

from redis import Redis

from bench.machine import describe
from tests.acceptance.stack import Stack, eventually, running_stack
from tests.servers.prometheus import Prometheus
from tests.servers.site import Site
from tests.servers.valkey import free_port
from tests.soak.load import Load
from tests.soak.report import Outcome, page
from tests.soak.verdict import compared
from tests.soak.watch import Watch, keys_by_kind

SAMPLE_S = 5.0
RETENTION_S = 60
DRAIN_S = 600.0
DELAYED = 37
"""Tasks that wait all the time, so that a depth that is not zero is compared, too."""

BEGIN, END = "<!-- soak: begin -->", "<!-- soak: end -->"
KILLS_UNTIL = 0.6
"""The share of the run in which workers are killed; the rest shows how those that live long behave."""


def say(line: str) -> None:
    """Progress, at once."""
    print(time.strftime("%H:%M:%S"), line, flush=True)  # noqa: T201  # the program's output


async def load_and_kill(stack: Stack, load: Load, watch: Watch, seconds: float, kills: int) -> int:
    """The load, with samples and kills beside it. Answers how many workers were killed."""
    killed = 0
    loading = asyncio.create_task(load.run(seconds))
    began = time.monotonic()
    while not loading.done():
        passed = time.monotonic() - began
        if killed < kills and passed > seconds * KILLS_UNTIL * (killed + 1) / (kills + 1):
            killed += kill_worker(stack, killed)
        await asyncio.to_thread(watch.sample)
        await asyncio.wait([loading], timeout=SAMPLE_S)
    await loading
    return killed


def kill_worker(stack: Stack, number: int) -> int:
    """SIGKILL to one of the stack's own workers; they take turns."""
    workers = sorted((name, pid) for name, pid in stack.ready["pids"].items() if name.startswith("worker"))
    name, pid = workers[number % len(workers)]
    say(f"killing {name}, {pid}")
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


def idle(redis: Redis, stack: Stack) -> Callable[[], bool]:
    """Whether nothing is to be done but the delayed tasks."""

    def check() -> bool:
        lag = sum(redis.xlen(key) for key in redis.scan_iter("cf:outbox:[0-9]*") if redis.type(key) == b"stream")
        queues = stack.queues().values()
        return (
            lag == 0
            and not any(queue["queued"] or queue["running"] for queue in queues)
            and (sum(queue["delayed"] for queue in queues) == DELAYED)
        )

    return check


def soak(directory: Path, minutes: float, rate: float, kills: int) -> Outcome:
    """One run."""
    machine = describe()
    model_port = free_port()
    model = subprocess.Popen([sys.executable, "-m", "tests.servers.model", f"--port={model_port}", "--latency-s=1"])
    settings = {
        "ALLOW_PRIVATE_HOSTS": "127.0.0.1", "LLM_BASE_URL": f"http://127.0.0.1:{model_port}/v1",
        "RETENTION_S": str(RETENTION_S), "MAX_CONCURRENT_TASKS": "500",
    }  # fmt: skip
    try:
        with (
            Site() as site,
            running_stack(directory / "data", settings, "--workers", "each") as stack,
            Prometheus(directory, stack.ready["api"]) as prometheus,
        ):
            return watched(
                stack, prometheus, Load(stack.ready["api"], site.url("/bread"), rate), minutes, kills, machine
            )
    finally:
        model.terminate()
        model.wait(10)


def watched(stack: Stack, prometheus: Prometheus, load: Load, minutes: float, kills: int, machine: str) -> Outcome:
    """The run itself, from the first key to the last."""
    redis = Redis.from_url(stack.ready["redis"])
    before, memory_before = keys_by_kind(redis), redis.info("memory")["used_memory"]
    delayed = [stack.submit("scrape", {"urls": ["http://127.0.0.1/"]}, delay_s=86_000) for _ in range(DELAYED)]
    watch = Watch(stack, prometheus)
    say("the load begins")
    killed = asyncio.run(load_and_kill(stack, load, watch, minutes * 60, kills))
    say(f"the load ends: {dict(load.accepted)} accepted; draining")
    began = time.monotonic()
    check = idle(redis, stack)
    eventually(check, "all done", DRAIN_S)
    drain_s = time.monotonic() - began
    time.sleep(3.0)  # three scrapes
    comparisons = compared(redis, prometheus)
    nodes = Counter(
        {row["state"]: row["n"] for row in stack.cypher("MATCH (t:Task) RETURN t.state AS state, count(*) AS n")}
    )
    for task_id in delayed:
        stack.client.delete(f"/tasks/{task_id}")
    say("waiting until the retention is over")
    after = Counter[str]()
    deadline = time.monotonic() + RETENTION_S * 3
    while time.monotonic() < deadline:
        after = keys_by_kind(redis)
        if sum(after.values()) <= sum(before.values()):
            break
        time.sleep(1.0)
    alerts = prometheus.alerts()
    return Outcome(
        machine, minutes, killed, load, watch, comparisons, nodes, before, after,
        (memory_before / 1e6, redis.info("memory")["used_memory"] / 1e6), drain_s, DELAYED, alerts,
    )  # fmt: skip


def report(path: Path, text: str) -> None:
    """Puts it between the marks, if the file has them; else it is all of the file."""
    head, begin, rest = (path.read_text() if path.exists() else "").partition(BEGIN)
    _, end, tail = rest.partition(END)
    path.write_text(f"{head}{begin}\n{text}{end}{tail}" if begin and end else text)


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=100.0, help="tasks a second")
    parser.add_argument("--kills", type=int, default=6, help="how many workers are killed")
    parser.add_argument("--report", type=Path, help="the page to renew")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="codeforge-soak-") as directory:
        outcome = soak(Path(directory), options.minutes, options.rate, options.kills)
    text = page(outcome)
    say(text)
    if options.report is not None:
        report(options.report, text)
    sys.exit(1 if outcome.wrong else 0)


if __name__ == "__main__":
    main()
