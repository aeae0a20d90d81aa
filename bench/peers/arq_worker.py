"""The same with arq. `arq bench.peers.arq_worker.WorkerSettings`; `python -m bench.peers.arq_worker N` submits."""

import asyncio
import os
import sys
import uuid
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

CALLS = int(os.environ["CALLS"])
QUESTION = os.environ["QUESTION"]
REDIS = RedisSettings.from_dsn(os.environ["REDIS"])


async def calls(ctx: dict[str, Any], task_id: str, question: str) -> None:
    """One task."""
    await ctx["work"].run(task_id, question, CALLS)
    await ctx["redis"].incr("done")


async def empty(ctx: dict[str, Any], task_id: str, question: str) -> None:
    """Nothing."""


async def start(ctx: dict[str, Any]) -> None:
    """The clients."""
    if CALLS:
        from bench.peers.work import AsyncWork

        ctx["work"] = AsyncWork()


class WorkerSettings:
    """What `arq` reads. Results are in the stores, so none is kept; the queue is looked at as soon as it may be."""

    functions = [calls, empty]  # noqa: RUF012  # as arq's documentation has it
    on_startup = start
    redis_settings = REDIS
    max_jobs = int(os.environ.get("AGENTS", "10"))
    job_timeout = 3_600
    max_tries = 1
    keep_result = 0
    poll_delay = 0.05


async def submit(count: int) -> None:
    """Enqueues so many."""
    pool = await create_pool(REDIS)
    for _ in range(count):
        await pool.enqueue_job("calls" if CALLS else "empty", str(uuid.uuid4()), QUESTION)
    await pool.aclose()


if __name__ == "__main__":
    asyncio.run(submit(int(sys.argv[1])))
