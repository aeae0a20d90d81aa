"""A scrape: how long `GET /metrics` takes while nothing runs, and while thousands of tasks do."""

import asyncio
import secrets
import statistics
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import httpx

from bench.backlog import new_task
from bench.engines import running_valkey
from bench.processes import Processes
from bench.turns import Turns
from codeforge.ledger.port import WorkerRecord
from codeforge.settings import load_settings
from codeforge.task import TaskState
from codeforge.wiring.ledger import redis_ledger
from codeforge.worker_types import WorkerType

NAME = "exposition"
TASKS = 5_000
SCRAPES = 200
AT_ONCE = 50
LEASE_S = 3_600.0
WORKERS = 10


def contender(tasks: int) -> str:
    """Its name."""
    return f"{tasks:,} tasks run"


def measure(turns: Turns) -> None:
    """Each on a ledger of its own, whose tasks were submitted and claimed as always."""
    piece = turns.piece(NAME)
    for tasks in (0, TASKS):
        name = contender(tasks)
        if turns.complete(piece, {name: turns.scale.rounds}):
            continue
        with (
            tempfile.TemporaryDirectory(prefix="bench-") as directory,
            Processes(Path(directory)) as processes,
            running_valkey(Path(directory)) as server,
        ):
            asyncio.run(_claim(server.url, tasks))
            port = processes.serve("api", partial(_api, server.url))
            url = f"http://127.0.0.1:{port}"
            turns.take(piece, {name: turns.scale.rounds}, {name: partial(_scraped, processes, url, tasks)})


async def _claim(redis_url: str, tasks: int) -> None:
    """Ten workers that run so many tasks, with a lease that outlives the measurement."""
    settings = load_settings({"redis_url": redis_url, "outbox_max_bytes": "0", "lease_s": str(LEASE_S)})
    ledger = redis_ledger(settings, connections=AT_ONCE)
    workers = [WorkerRecord(f"worker-{number}", (WorkerType.DEBATE,), TASKS // WORKERS) for number in range(WORKERS)]
    new = [new_task(WorkerType.DEBATE) for _ in range(tasks)]
    try:
        for worker in workers:
            await ledger.renew_lease(worker)
        for start in range(0, tasks, AT_ONCE):
            part = new[start : start + AT_ONCE]
            await ledger.submit(part)
            claims = [
                ledger.claim(task.id, workers[(start + place) % WORKERS].id, secrets.token_hex(8))
                for place, task in enumerate(part)
            ]
            for claimed in await asyncio.gather(*claims):
                if claimed is None or claimed.task.state is not TaskState.RUNNING:
                    raise RuntimeError("a task that was just submitted could not be claimed")
    finally:
        await ledger.close()


def _api(redis_url: str, port: int) -> tuple[list[str], dict[str, str]]:
    return ["codeforge", "api"], {"CODEFORGE_REDIS_URL": redis_url, "CODEFORGE_API_PORT": str(port)}


def _scraped(processes: Processes, url: str, tasks: int) -> Mapping[str, float]:
    """One client, one scrape after another, in the format that Prometheus asks for."""
    took_ms = []
    headers = {"Accept": "application/openmetrics-text; version=1.0.0"}
    with httpx.Client(base_url=url, timeout=30.0, trust_env=False, headers=headers) as client:
        answer = client.get("/metrics")
        if f'codeforge_tasks_running{{type="debate"}} {tasks}.0' not in answer.text.splitlines():
            raise RuntimeError(f"the scrape does not show {tasks} running tasks")
        before = processes.cpu_s("api")
        for _ in range(SCRAPES):
            began = time.monotonic()
            client.get("/metrics").raise_for_status()
            took_ms.append((time.monotonic() - began) * 1_000)
        spent = processes.cpu_s("api") - before
    return {
        "p50_ms": statistics.median(took_ms),
        "p99_ms": statistics.quantiles(took_ms, n=100, method="inclusive")[98],
        "cpu_ms": spent * 1_000 / SCRAPES,
        "kb": len(answer.content) / 1_000,
    }
