"""A worker process keeps its lease and its tasks while connections are cut and the server restarts under load."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import orjson
import pytest
import redis

from codeforge.errors import LedgerUnavailable
from codeforge.ledger.connection import connect
from codeforge.ledger.outbox import RedisOutbox
from codeforge.ledger.port import Ledger
from codeforge.ledger.retention import Retention
from codeforge.settings import PREFIX, load_settings, process_environment
from codeforge.task import NewTask, TaskState
from codeforge.wiring.ledger import redis_ledger
from tests.factories import new_task
from tests.servers.celery_worker import ROOT, CeleryWorker
from tests.servers.site import Site
from tests.servers.valkey import ValkeyServer

pytestmark = pytest.mark.anyio

T = TypeVar("T")

TASKS = 60
CUTS = 5
DEADLINE_S = 60.0


@pytest.fixture
def reaper(valkey: ValkeyServer, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`codeforge reaper`, which rings for messages that were lost on their way."""
    environment = process_environment() | {f"{PREFIX}REDIS_URL": valkey.url}
    with (tmp_path / "reaper.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "codeforge", "reaper"],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    yield process
    process.kill()
    process.wait(DEADLINE_S)


@pytest.fixture
def worker(valkey: ValkeyServer, tmp_path: Path) -> Iterator[CeleryWorker]:
    settings = {"ALLOW_PRIVATE_HOSTS": "127.0.0.1", "MAX_CONCURRENT_TASKS": "8"}
    process = CeleryWorker(valkey, tmp_path, "workers.main", settings=settings)
    try:
        process.wait_ready()
        yield process
    finally:
        process.close()


def cut_all(valkey: ValkeyServer) -> None:
    """Closes every client's connection, workers' and reapers' and ours."""
    with redis.Redis.from_url(valkey.url) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal")


async def again(call: Callable[[], Awaitable[T]]) -> T:
    """What the call answers, once the ledger is there."""
    while True:
        try:
            return await call()
        except LedgerUnavailable:
            await asyncio.sleep(0.05)


async def finished(ledger: Ledger, count: int) -> None:
    """Until so many tasks have ended."""
    ended = 0.0
    while ended < count:
        counters = (await again(ledger.snapshot)).counters
        ended = sum(value for name, value in counters.items() if name.startswith("finished:"))
        await asyncio.sleep(0.02)


async def follow(ledger: Ledger, task: NewTask) -> list[str]:
    """The kinds of the task's events, read as an event stream reads them: each read waits for the next."""
    kinds: list[str] = []
    position = "0"
    while not kinds or kinds[-1] != "succeeded":
        events = await again(partial(ledger.events, "acme", task.id, position, 500))
        kinds += [event.kind for event in events]
        position = events[-1].id if events else position
    return kinds


FAULTS: dict[str, Callable[[ValkeyServer], None]] = {
    "cut connections": cut_all,
    "restarted server": ValkeyServer.restart,
}


@pytest.mark.parametrize("fault", list(FAULTS))
async def test_every_task_ends_once_and_nobody_was_restarted(
    valkey: ValkeyServer, worker: CeleryWorker, reaper: "subprocess.Popen[bytes]", fault: str
) -> None:
    ledger = redis_ledger(load_settings({"redis_url": valkey.url}), connections=4)
    clients = [connect(valkey.url, max_connections=2) for _ in range(2)]
    outbox = RedisOutbox(*clients, partitions=4, retention=Retention(600))
    with Site() as site:
        body = orjson.dumps({"urls": [site.url("/bread"), site.url("/volcano")]})
        tasks = [new_task(input=body, max_attempts=1) for _ in range(TASKS)]
        try:
            async with asyncio.timeout(DEADLINE_S):
                waiting = asyncio.create_task(again(partial(outbox.wait, [0, 1, 2, 3], 5.0)))
                await ledger.submit(tasks)
                following = asyncio.create_task(follow(ledger, tasks[-1]))
                for number in range(CUTS if fault == "cut connections" else 1):
                    await finished(ledger, (number + 1) * TASKS // (2 * CUTS))
                    FAULTS[fault](valkey)
                await finished(ledger, TASKS)
                await waiting
                kinds = await following
                assert (kinds[0], kinds.count("running"), kinds.count("succeeded")) == ("queued", 1, 1)
                for task in tasks:  # none has an attempt to lose: had the worker lost its lease, some were dead
                    assert (await again(partial(ledger.get, "acme", task.id))).state is TaskState.SUCCEEDED
                entries = await again(partial(outbox.read, [0, 1, 2, 3], 2 * TASKS, 100_000_000))
                assert sorted(entry.task_id for entry in entries) == sorted(task.id for task in tasks)
            assert (worker.process.poll(), reaper.poll()) == (None, None)
            worker.signal(signal.SIGTERM)
            assert worker.wait_exit() == 0
        finally:
            await ledger.close()
            await outbox.close()
