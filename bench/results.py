"""Finished tasks in a ledger's outbox: made once through the ledger's own calls, copied for each measurement."""

import asyncio
import secrets
import shutil
from pathlib import Path

from bench.backlog import new_task
from bench.model_server import CONTENT
from codeforge.ledger.port import Ledger, Outcome, WorkerRecord
from codeforge.results import AnalysisResult
from codeforge.settings import load_settings
from codeforge.task import ModelCall, NewTask
from codeforge.wiring.ledger import redis_ledger
from codeforge.worker_types import WorkerType
from tests.servers.valkey import ValkeyServer

CALLS = 3
AT_ONCE = 64
LEASE_S = 600.0
WORKER = "bench"


class FinishedTasks:
    """The data of a Valkey whose outbox holds `count` results of three model calls each."""

    def __init__(self, place: Path, count: int) -> None:
        self._data = place / "finished"
        self._data.mkdir()
        server = ValkeyServer(self._data)
        server.start()
        try:
            asyncio.run(_finish(server.url, count))
        finally:
            server.kill()  # what it answered is in its file

    def copied_to(self, place: Path) -> None:
        """A copy for one measurement: the directory of a server of its own."""
        shutil.copytree(self._data, place, dirs_exist_ok=True)


async def _finish(redis_url: str, count: int) -> None:
    ledger = redis_ledger(
        load_settings({"redis_url": redis_url, "outbox_max_bytes": "0", "lease_s": str(LEASE_S)}), connections=8
    )
    try:
        worker = WorkerRecord(WORKER, [WorkerType.ANALYSIS], AT_ONCE)
        await ledger.renew_lease(worker)
        for start in range(0, count, 1_000):
            tasks = [new_task(WorkerType.ANALYSIS) for _ in range(min(1_000, count - start))]
            await ledger.submit(tasks)
            for first in range(0, len(tasks), AT_ONCE):
                await asyncio.gather(*(_finish_one(ledger, task) for task in tasks[first : first + AT_ONCE]))
    finally:
        await ledger.close()


async def _finish_one(ledger: Ledger, task: NewTask) -> None:
    claimed = await ledger.claim(task.id, WORKER, secrets.token_hex(8))
    if claimed is None:
        raise RuntimeError("a task that was just submitted cannot be claimed")
    for number in range(CALLS):
        call = ModelCall(f"call-{number}", "bench", 60, 120, 0.0, 2_000)
        await ledger.record_step(claimed.claim, call.step, b"{}", call)
    result = AnalysisResult(report="\n\n".join([CONTENT] * CALLS), claims=[], sources=[])
    await ledger.finish(claimed.claim, Outcome("succeeded", result=result.model_dump_json().encode()))
