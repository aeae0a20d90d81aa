"""Measures what a task costs Redis, on a real server through the ledger's own scripts."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from codeforge.capacity.redis_load import RedisCosts
from codeforge.identity import new_task_id
from codeforge.ledger.port import ClaimedTask, Ledger, Outbox, Outcome, WorkerRecord
from codeforge.task import NewTask
from codeforge.worker_types import Priority, WorkerType, queue_name

INPUT_BYTES = 1_000
RESULT_BYTES = 4_000
STEP_BYTES = 1_000
STEPS = 3
LEASE_S = 300.0
LETTERS = 100
COUNTED = ("evalsha", "brpop")
"""Commands by their own counters: several may come in one read of a connection, and what a script calls is not sent."""

T = TypeVar("T")


class Redis(Protocol):
    """What is asked of the server besides the ledger."""

    async def info(self, section: str) -> Mapping[str, Any]:
        """Its own counters."""
        ...

    async def brpop(self, keys: list[str], timeout: float) -> object:
        """A message off a list."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """The server's own counters: scripts and waits that clients sent, processor seconds, bytes of data."""

    commands: float
    cpu_s: float
    memory: float


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one task in one phase."""

    commands: float
    us: float
    bytes: float


class Measurement:
    """`tasks` tasks go through their life together, phase by phase, so that each phase's cost can be read.

    Each of the `ledgers` stands for a process that writes one thing after another. What the agents of one process write
    at the same moment shares runs of scripts, but agents take their time, so that a deployment's seldom meet.
    """

    def __init__(self, redis: Redis, ledgers: Sequence[Ledger], outbox: Outbox, tasks: int) -> None:
        self._redis = redis
        self._outbox = outbox
        self._ledgers = ledgers
        self._tasks = tasks

    async def costs(self) -> RedisCosts:
        """Runs all phases. Raises LedgerUnavailable."""
        await self._ledgers[0].renew_lease(WorkerRecord("measured", [WorkerType.SCRAPE], self._tasks))
        tasks = [_task() for _ in range(self._tasks)]
        queued = await self._cost(lambda: self._all(tasks, _submit))
        claimed: list[ClaimedTask] = []

        async def claim(ledger: Ledger, task: NewTask) -> None:
            claimed.extend(await self._claimed(ledger, task))

        taken = await self._cost(lambda: self._all(tasks, claim))
        stepped = await self._cost(lambda: self._all(claimed, _take_steps))
        back = await self._cost(lambda: self._all(claimed, _hand_back))
        claimed.clear()
        await self._all(tasks, claim)
        ended = await self._cost(lambda: self._all(claimed, _finish))
        stored = await self._cost(self._store)
        running = queued.bytes + taken.bytes + stepped.bytes
        return RedisCosts(
            submit_commands=round(queued.commands, 1),
            submit_us=round(queued.us),
            run_commands=round(taken.commands + stepped.commands + ended.commands, 1),
            run_us=round(taken.us + stepped.us + ended.us),
            store_commands=round(stored.commands, 1),
            store_us=round(stored.us),
            hand_back_commands=round(back.commands, 1),
            queued_bytes=round(queued.bytes),
            running_bytes=round(running),
            kept_bytes=round(running + back.bytes + ended.bytes + stored.bytes),
        )

    async def _cost(self, phase: Callable[[], Awaitable[None]]) -> Cost:
        before = await self._read()
        await phase()
        after = await self._read()
        return Cost(
            (after.commands - before.commands) / self._tasks,
            (after.cpu_s - before.cpu_s) * 1e6 / self._tasks,
            (after.memory - before.memory) / self._tasks,
        )

    async def _read(self) -> Reading:
        info = await self._redis.info("everything")
        return Reading(
            sum(_succeeded(info.get(f"cmdstat_{name}", {})) for name in COUNTED),
            float(info["used_cpu_user"]) + float(info["used_cpu_sys"]),
            float(info["used_memory_dataset"]),
        )

    async def _all(self, items: Sequence[T], work: Callable[[Ledger, T], Awaitable[None]]) -> None:
        """Each process its share."""

        async def process(number: int) -> None:
            for item in items[number :: len(self._ledgers)]:
                await work(self._ledgers[number], item)

        await asyncio.gather(*(process(number) for number in range(len(self._ledgers))))

    async def _claimed(self, ledger: Ledger, task: NewTask) -> Sequence[ClaimedTask]:
        """A message is taken off the broker's list first, as a Celery worker does."""
        await self._redis.brpop([queue_name(WorkerType.SCRAPE)], timeout=1)
        found = await ledger.claim(task.id, "measured", secrets.token_hex(8))
        return () if found is None else (found,)

    async def _store(self) -> None:
        """The projector's side, in batches."""
        partitions = await self._outbox.acquire("measured", LEASE_S)
        while entries := await self._outbox.read(partitions, LETTERS, 16_000_000):
            await self._outbox.settle(entries, {})


def _succeeded(counted: Mapping[str, float]) -> float:
    """A script that the server did not know yet is sent again: that happens once, and is no task's cost."""
    return counted.get("calls", 0) - counted.get("failed_calls", 0)


async def _submit(ledger: Ledger, task: NewTask) -> None:
    await ledger.submit([task])


async def _take_steps(ledger: Ledger, task: ClaimedTask) -> None:
    for number in range(STEPS):
        await ledger.record_step(task.claim, f"step{number}", _json(STEP_BYTES), None)


async def _hand_back(ledger: Ledger, task: ClaimedTask) -> None:
    await ledger.hand_back(task.claim)


async def _finish(ledger: Ledger, task: ClaimedTask) -> None:
    await ledger.finish(task.claim, Outcome("succeeded", result=_json(RESULT_BYTES)))


def _task() -> NewTask:
    return NewTask(
        id=new_task_id(),
        tenant="measured",
        type=WorkerType.SCRAPE,
        priority=Priority.NORMAL,
        input=_json(INPUT_BYTES),
        labels=b"{}",
        timeout_s=600,
        max_attempts=3,
    )


def _json(size: int) -> bytes:
    """A JSON text of about that size that does not repeat itself."""
    return b'{"text":"%s"}' % secrets.token_hex(size // 2).encode()
