"""The ledger on a real engine, as the contract tests use it."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from codeforge.ledger.bells import Bell
from codeforge.ledger.connection import connect
from codeforge.ledger.outbox import RedisOutbox
from codeforge.ledger.port import ClaimedTask, WorkerRecord
from codeforge.ledger.reaper import RedisReaperLedger
from codeforge.ledger.redis import RedisLedger
from codeforge.task import NewTask
from codeforge.worker_types import Priority, WorkerType, queue_name
from tests.factories import new_task

BELLS = {
    (worker_type, priority): Bell(queue_name(worker_type, priority), '{"celery_id":"@CELERY_ID@","task":"@TASK_ID@"}')
    for worker_type in WorkerType
    for priority in Priority
}

PARTITIONS = 2
LEASE_S = 30.0


@dataclass
class Engine:
    """All sides of one ledger, and the raw client to look behind it."""

    ledger: RedisLedger
    reaper: RedisReaperLedger
    outbox: RedisOutbox
    redis: Redis

    async def worker(self, name: str = "w1", worker_type: WorkerType = WorkerType.SCRAPE) -> str:
        """A worker with a live lease."""
        await self.ledger.renew_lease(WorkerRecord(name, [worker_type], 10))
        return name

    async def submitted(self, **fields: object) -> NewTask:
        """One accepted task."""
        task = new_task(**fields)
        await self.ledger.submit([task])
        return task

    async def claimed(self, task_id: str, worker: str = "w1") -> ClaimedTask:
        """The task, running under a new claim."""
        claimed = await self.ledger.claim(task_id, await self.worker(worker), secrets.token_hex(8))
        assert claimed is not None
        return claimed

    async def expire_lease(self, worker: str) -> None:
        """The worker stopped renewing, one lease ago."""
        await self.redis.zadd("cf:lease", {worker: 1})

    async def messages(self, queue: str) -> list[bytes]:
        """Celery's messages, oldest first."""
        return list(reversed(await self.redis.lrange(queue, 0, -1)))


@asynccontextmanager
async def engine(url: str) -> AsyncIterator[Engine]:
    """A ledger on the server at `url`."""
    redis, blocking = connect(url, max_connections=8), connect(url, max_connections=4)
    yield Engine(
        RedisLedger(redis, blocking, BELLS, partitions=PARTITIONS, lease_s=LEASE_S, retention_s=600),
        RedisReaperLedger(redis, BELLS, partitions=PARTITIONS),
        RedisOutbox(redis, blocking, partitions=PARTITIONS, retention_s=600),
        redis,
    )
    await redis.aclose(close_connection_pool=True)
    await blocking.aclose(close_connection_pool=True)
