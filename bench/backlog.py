"""A ledger with many waiting tasks, loaded once through its own scripts."""

import asyncio
import time

import redis

from bench.processes import wait_until
from codeforge.identity import new_task_id
from codeforge.settings import load_settings
from codeforge.task import NewTask
from codeforge.wiring.ledger import redis_ledger
from codeforge.worker_types import Priority, WorkerType

BATCH = 1_000
AT_ONCE = 4
REWRITE_S = 180.0
INPUTS = {
    WorkerType.DEBATE: b'{"question":"?","positions":["yes","no"],"rounds":1}',
    WorkerType.ANALYSIS: b'{"question":"?","search":"none"}',
}


def new_task(worker_type: WorkerType) -> NewTask:
    """A task as the front door would make it."""
    return NewTask(
        id=new_task_id(), tenant="default", type=worker_type, priority=Priority.NORMAL, input=INPUTS[worker_type],
        labels=b"{}", parent_id=None, timeout_s=3_600, max_attempts=3, delay_s=0.0,
    )  # fmt: skip


def load_backlog(redis_url: str, count: int, worker_type: WorkerType = WorkerType.DEBATE) -> float:
    """Submits so many tasks in batches; answers the seconds that it took."""
    began = time.monotonic()
    asyncio.run(_load(redis_url, count, worker_type))
    return time.monotonic() - began


def settled(redis_url: str) -> None:
    """Waits until the server has rewritten its append-only file, which would share the processor with what follows.
    Raises TimeoutError."""
    with redis.Redis.from_url(redis_url) as client:
        wait_until(
            lambda: (
                not any(client.info("persistence")[f"aof_rewrite_{state}"] for state in ("in_progress", "scheduled"))
            ),
            "the append-only file is rewritten",
            REWRITE_S,
            pause_s=0.2,
        )


async def _load(redis_url: str, count: int, worker_type: WorkerType) -> None:
    ledger = redis_ledger(load_settings({"redis_url": redis_url, "outbox_max_bytes": "0"}), connections=AT_ONCE)
    gate = asyncio.Semaphore(AT_ONCE)

    async def batch(size: int) -> None:
        async with gate:
            await ledger.submit([new_task(worker_type) for _ in range(size)])

    try:
        async with asyncio.TaskGroup() as group:
            for start in range(0, count, BATCH):
                group.create_task(batch(min(BATCH, count - start)))
    finally:
        await ledger.close()
