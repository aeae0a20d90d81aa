"""The ledgers under contract: the one on a server, and the fake. Tests look behind them through `LedgerEngine` only."""

import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from codeforge.ledger import keys
from codeforge.ledger.admission import NO_CAPS, Caps
from codeforge.ledger.bells import Bell
from codeforge.ledger.connection import connect
from codeforge.ledger.fleet import RedisFleetLedger
from codeforge.ledger.fleet_port import FleetLedger
from codeforge.ledger.memory import MemoryLedger
from codeforge.ledger.memory.places import READY, WAITING
from codeforge.ledger.memory.state import Message
from codeforge.ledger.outbox import RedisOutbox
from codeforge.ledger.outbox_keeper import RedisOutboxKeeper
from codeforge.ledger.outbox_port import OutboxKeeper
from codeforge.ledger.port import ClaimedTask, Ledger, Outbox, Outcome, ReaperLedger, WorkerRecord
from codeforge.ledger.reaper import RedisReaperLedger
from codeforge.ledger.redis import RedisLedger
from codeforge.ledger.retention import Retention
from codeforge.ledger.scripts import Replication
from codeforge.task import NewTask, TaskFailure, TaskState
from codeforge.worker_types import Priority, WorkerType, queue_name
from tests.factories import new_task

BELLS = {
    (worker_type, priority): Bell(
        queue_name(worker_type, priority), '{"celery_id":"@CELERY_ID@","task_id":"@TASK_ID@"}'
    )
    for worker_type in WorkerType
    for priority in Priority
}

PARTITIONS = 2
LEASE_S = 30.0
RETENTION = Retention(600, {TaskState.FAILED: 1_200})
OUTBOX_MAX_BYTES = 1_000_000
LONG_AGO_MS = 1

SUCCESS = Outcome("succeeded", result=b'{"pages":[],"failed":[]}')
FAILURE = TaskFailure("model_unavailable", "it said 503", retryable=True)


class LedgerEngine(ABC):
    """All sides of one ledger, what tests do with them again and again, and what only its insides can tell."""

    ledger: Ledger
    reaper: ReaperLedger
    outbox: Outbox
    keeper: OutboxKeeper
    fleet: FleetLedger

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

    @abstractmethod
    async def messages(self, queue: str) -> list[Message]:
        """What the broker's queue holds, oldest first."""

    @abstractmethod
    async def lose_messages(self, queue: str) -> None:
        """The broker lost the whole queue."""

    @abstractmethod
    async def expire_lease(self, worker: str) -> None:
        """The worker stopped renewing, one lease ago."""

    @abstractmethod
    async def pause_reaper(self) -> None:
        """The last pass was long ago: the ledger was away."""

    @abstractmethod
    async def age_in_queue(self, task_id: str) -> None:
        """The scrape task was queued, and rung for, long ago."""

    @abstractmethod
    async def rung_often(self, task_id: str, ago_ms: int) -> None:
        """The scrape task was rung for ten times, so long ago the last time."""

    @abstractmethod
    async def overdue(self, task_id: str) -> None:
        """The scrape task should have ended long ago."""

    @abstractmethod
    async def expire_task(self, task_id: str) -> None:
        """The task's retention is over."""

    @abstractmethod
    async def replace_claim(self, task_id: str) -> None:
        """The ledger was restored and has issued the same fence again, to another claim."""

    async def retained(self, task_id: str) -> bool:
        """Whether the task stays until something happens to it (False: it expires by itself)."""
        return await self.kept_s(task_id) is None

    @abstractmethod
    async def kept_s(self, task_id: str) -> float | None:
        """For how many seconds the task is kept; None while it stays until something happens to it."""

    @abstractmethod
    async def key_kept_s(self, key: str) -> float | None:
        """The same of an Idempotency-Key of the tenant acme."""

    @abstractmethod
    async def journaled(self, task_id: str) -> dict[str, bytes]:
        """The steps that are kept of the task."""

    @abstractmethod
    async def lose_replicas(self) -> None:
        """From now on, submissions want a replica, and there is none."""

    @abstractmethod
    async def fill(self) -> None:
        """The memory is filled beyond what submissions may use."""

    @abstractmethod
    async def overfill(self) -> None:
        """The memory is filled beyond what there is."""

    @abstractmethod
    async def make_room(self) -> None:
        """The memory is as before."""

    @abstractmethod
    async def cap(self, caps: Caps) -> None:
        """From now on every process is given these caps."""

    @abstractmethod
    async def figures(self, tenant: str) -> dict[str, int]:
        """What the ledger counts of the tenant: `running`, `waiting`, and `ready:<type>`; nothing that is 0."""

    @abstractmethod
    async def places(self) -> list[tuple[str, str]]:
        """(place, task id) of every task that waits or runs."""

    @abstractmethod
    async def dead_letters(self) -> dict[str, str]:
        """Tasks that no store takes, with the reasons."""


class LedgerServer(LedgerEngine):
    """On Redis or Valkey."""

    def __init__(self, redis: Redis, blocking: Redis) -> None:
        self.redis: Any = redis  # the driver types every answer as a union over protocols and decodings
        self.blocking = blocking
        self.caps = NO_CAPS
        self.ledger = self.replicated_ledger(Replication())
        self.reaper = RedisReaperLedger(redis, BELLS, partitions=PARTITIONS, lease_s=LEASE_S)
        self.keeper = RedisOutboxKeeper(redis, partitions=PARTITIONS)
        self.fleet = RedisFleetLedger(redis, partitions=PARTITIONS)
        self.outbox = RedisOutbox(redis, blocking, partitions=PARTITIONS, retention=RETENTION)

    async def messages(self, queue: str) -> list[Message]:
        return [Message(**json.loads(text)) for text in reversed(await self.redis.lrange(queue, 0, -1))]

    async def lose_messages(self, queue: str) -> None:
        await self.redis.delete(queue)

    async def expire_lease(self, worker: str) -> None:
        await self.redis.zadd(keys.LEASES, {worker: LONG_AGO_MS})

    async def pause_reaper(self) -> None:
        await self.redis.set(keys.REAPER_PASS, LONG_AGO_MS)

    async def age_in_queue(self, task_id: str) -> None:
        await self.redis.hset(keys.task(task_id), "rung_at", LONG_AGO_MS)
        await self.redis.zadd(keys.queued(WorkerType.SCRAPE), {task_id: LONG_AGO_MS})
        await self.redis.zadd(keys.urgent(WorkerType.SCRAPE), {task_id: LONG_AGO_MS}, xx=True)

    async def rung_often(self, task_id: str, ago_ms: int) -> None:
        seconds, _ = await self.redis.time()
        await self.age_in_queue(task_id)
        await self.redis.hset(keys.task(task_id), mapping={"rings": 10, "rung_at": seconds * 1000 - ago_ms})

    async def overdue(self, task_id: str) -> None:
        await self.redis.zadd(keys.running(WorkerType.SCRAPE), {task_id: LONG_AGO_MS})

    async def expire_task(self, task_id: str) -> None:
        await self.redis.delete(
            *(key(task_id) for key in (keys.task, keys.journal, keys.calls, keys.begun, keys.events))
        )

    async def replace_claim(self, task_id: str) -> None:
        await self.redis.hset(keys.task(task_id), "claim", "of a restored ledger")

    async def kept_s(self, task_id: str) -> float | None:
        return await self._ttl_s(keys.task(task_id))

    async def key_kept_s(self, key: str) -> float | None:
        return await self._ttl_s(f"{keys.PREFIX}idem:acme:{key}")

    async def journaled(self, task_id: str) -> dict[str, bytes]:
        return {name.decode(): value for name, value in (await self.redis.hgetall(keys.journal(task_id))).items()}

    async def _ttl_s(self, name: str) -> float | None:
        left = await self.redis.pttl(name)
        assert left != -2, f"no such key: {name}"
        return None if left == -1 else left / 1000

    async def lose_replicas(self) -> None:
        self.ledger = self.replicated_ledger(Replication(1, 50))

    def replicated_ledger(self, replication: Replication) -> RedisLedger:
        """The same ledger for a client that wants replicas."""
        return RedisLedger(
            self.redis,
            self.blocking,
            BELLS,
            partitions=PARTITIONS,
            lease_s=LEASE_S,
            outbox_max_bytes=OUTBOX_MAX_BYTES,
            replication=replication,
            headroom_age_s=0,
            caps=self.caps,
        )

    async def cap(self, caps: Caps) -> None:
        self.caps = caps
        self.ledger = self.replicated_ledger(Replication())
        self.reaper = RedisReaperLedger(self.redis, BELLS, partitions=PARTITIONS, lease_s=LEASE_S, caps=caps)

    async def figures(self, tenant: str) -> dict[str, int]:
        found = await self.redis.hgetall(keys.tenant_figures(tenant))
        return {name.decode(): int(count) for name, count in found.items()}

    async def places(self) -> list[tuple[str, str]]:
        names = {
            "held": [name.decode() async for name in self.redis.scan_iter("cf:held:*:*")],
            "parked": [keys.held(worker_type) for worker_type in WorkerType],
            "queued": [keys.queued(worker_type) for worker_type in WorkerType],
            "delayed": [keys.delayed(worker_type) for worker_type in WorkerType],
            "running": [keys.running(worker_type) for worker_type in WorkerType],
        }
        sets = [(place, name) for place, found in names.items() for name in found]
        async with self.redis.pipeline(transaction=False) as pipe:
            for _, name in sets:
                pipe.zrange(name, 0, -1)
            members = await pipe.execute()
        return [(place, raw.decode()) for (place, _), ids in zip(sets, members, strict=True) for raw in ids]

    async def fill(self) -> None:
        used = (await self.redis.info("memory"))["used_memory"]
        await self.redis.config_set("maxmemory", int(used / 0.9))

    async def overfill(self) -> None:
        await self.redis.config_set("maxmemory", 1)

    async def make_room(self) -> None:
        await self.redis.config_set("maxmemory", 0)

    async def dead_letters(self) -> dict[str, str]:
        letters = await self.redis.xrange(keys.OUTBOX_DEAD)
        return {fields[b"id"].decode(): fields[b"reason"].decode() for _, fields in letters}


class MemoryLedgerEngine(LedgerEngine):
    """The fake."""

    def __init__(self) -> None:
        self.memory = MemoryLedger(
            partitions=PARTITIONS, lease_s=LEASE_S, retention=RETENTION, outbox_max_bytes=OUTBOX_MAX_BYTES
        )
        self.ledger = self.reaper = self.outbox = self.keeper = self.fleet = self.memory

    async def messages(self, queue: str) -> list[Message]:
        return list(self.memory.messages[queue])

    async def lose_messages(self, queue: str) -> None:
        self.memory.messages[queue].clear()

    async def expire_lease(self, worker: str) -> None:
        self.memory.leases[worker] = LONG_AGO_MS

    async def pause_reaper(self) -> None:
        self.memory.last_pass = LONG_AGO_MS

    async def age_in_queue(self, task_id: str) -> None:
        self.memory.rows[task_id].rung_at = LONG_AGO_MS
        self.memory.queued[WorkerType.SCRAPE][task_id] = LONG_AGO_MS

    async def rung_often(self, task_id: str, ago_ms: int) -> None:
        await self.age_in_queue(task_id)
        row = self.memory.rows[task_id]
        row.rings, row.rung_at = 10, self.memory.now_ms() - ago_ms

    async def overdue(self, task_id: str) -> None:
        self.memory.running[WorkerType.SCRAPE][task_id] = LONG_AGO_MS

    async def expire_task(self, task_id: str) -> None:
        self.memory.rows[task_id].expires_at = LONG_AGO_MS

    async def replace_claim(self, task_id: str) -> None:
        self.memory.rows[task_id].claim_id = "of a restored ledger"

    async def kept_s(self, task_id: str) -> float | None:
        return self._left_s(self.memory.rows[task_id].expires_at)

    async def key_kept_s(self, key: str) -> float | None:
        kept = [await self.kept_s(task_id) for task_id in self.memory._known["acme", key].ids]
        return None if None in kept else max(left for left in kept if left is not None)

    async def journaled(self, task_id: str) -> dict[str, bytes]:
        return self.memory.rows[task_id].journal

    def _left_s(self, until: float | None) -> float | None:
        return None if until is None else (until - self.memory.now_ms()) / 1000

    async def lose_replicas(self) -> None:
        self.memory.replicated = False

    async def fill(self) -> None:
        self.memory.full = True

    async def overfill(self) -> None:
        self.memory.full = self.memory.overfull = True

    async def make_room(self) -> None:
        self.memory.full = self.memory.overfull = False

    async def cap(self, caps: Caps) -> None:
        self.memory.caps = caps

    async def figures(self, tenant: str) -> dict[str, int]:
        counts = {
            "running": self.memory.count_of(tenant, "running"),
            "waiting": self.memory.count_of(tenant, *WAITING),
        } | {f"ready:{kind}": self.memory.count_of(tenant, *READY, worker_type=kind) for kind in WorkerType}
        return {name: count for name, count in counts.items() if count}

    async def places(self) -> list[tuple[str, str]]:
        return [
            (place, task_id)
            for place in (*WAITING, "running")
            for tasks in getattr(self.memory, place).values()
            for task_id in tasks
        ]

    async def dead_letters(self) -> dict[str, str]:
        return self.memory.dead_letters


@asynccontextmanager
async def opened_ledger(url: str) -> AsyncIterator[LedgerServer]:
    """A ledger on the server at `url`."""
    engine = LedgerServer(connect(url, max_connections=8), connect(url, max_connections=4))
    try:
        yield engine
    finally:
        await engine.ledger.close()
