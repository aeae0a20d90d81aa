"""A master that dies: everybody goes on with the replica that the Sentinel promotes, without a restart."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import orjson
import pytest

from codeforge.errors import LedgerUnavailable
from codeforge.ledger.connection import connect
from codeforge.ledger.diagnosis import examine_redis
from codeforge.ledger.heartbeat import LeaseKeeper
from codeforge.ledger.lease import Lease
from codeforge.ledger.outbox import RedisOutbox
from codeforge.ledger.port import Ledger, WorkerRecord
from codeforge.ledger.retention import Retention
from codeforge.settings import PREFIX, load_settings, process_environment
from codeforge.task import NewTask, TaskState
from codeforge.wiring.ledger import redis_ledger
from codeforge.worker_types import WorkerType
from tests.factories import new_task
from tests.servers.celery_worker import CeleryWorker, wait_until
from tests.servers.replicated import SETTLED_S, ReplicatedValkey
from tests.servers.site import Site

pytestmark = pytest.mark.anyio

T = TypeVar("T")


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[ReplicatedValkey]:
    with ReplicatedValkey(tmp_path) as servers:
        yield servers


async def in_time(call: Callable[[], Awaitable[T]]) -> T:
    """What the call answers once the ledger is back."""
    async with asyncio.timeout(SETTLED_S):
        while True:
            try:
                return await call()
            except LedgerUnavailable:
                await asyncio.sleep(0.05)


async def test_calls_reads_that_wait_and_the_outbox_go_on_after_a_failover(replicated: ReplicatedValkey) -> None:
    ledger = redis_ledger(load_settings({"redis_url": replicated.url}), connections=4)
    outbox = RedisOutbox(
        connect(replicated.url, max_connections=2),
        connect(replicated.url, max_connections=2),
        partitions=4,
        retention=Retention(600),
    )
    try:
        first, second = new_task(), new_task()
        await ledger.submit([first])
        former = replicated.master
        (known,) = await ledger.events("acme", first.id, "0", 0)
        waiting = asyncio.create_task(ledger.events("acme", first.id, known.id, 9_000))
        projector = asyncio.create_task(outbox.wait([0], 9.0))
        with replicated.client(former) as client:  # what the master has, the replica has
            client.set("barrier", 1)  # WAIT concerns the writes of its own connection, and those before them
            assert client.wait(1, 9_000) == 1
            await asyncio.to_thread(
                wait_until, lambda: client.info("clients")["blocked_clients"] == 2, "two reads that wait"
            )
        former.kill()
        await in_time(lambda: ledger.submit([second]))
        assert replicated.master is not former
        assert [(await ledger.get("acme", task.id)).state for task in (first, second)] == [TaskState.QUEUED] * 2
        for pending in (waiting, projector):  # cut off, told so, and free to ask again
            with pytest.raises(LedgerUnavailable):
                await pending
        assert await ledger.events("acme", first.id, known.id, 10) == []
        assert len(await in_time(lambda: outbox.acquire("p1", 5.0))) == 4
    finally:
        await ledger.close()
        await outbox.close()


async def test_a_demoted_master_that_lives_gets_no_more_writes(replicated: ReplicatedValkey) -> None:
    ledger = redis_ledger(load_settings({"redis_url": replicated.url}), connections=4)
    try:
        await asyncio.gather(*(ledger.submit([new_task()]) for _ in range(4)))  # every connection is open
        former = replicated.master
        replicated.switch()
        with replicated.client(former) as client:
            await asyncio.to_thread(
                wait_until, lambda: client.role()[0] == "slave", "the former master demoted", SETTLED_S
            )
        task = new_task()
        await in_time(lambda: ledger.submit([task]))
        with replicated.client(replicated.master) as client:
            assert client.exists(f"cf:task:{task.id}") == 1
    finally:
        await ledger.close()


async def test_a_repeated_command_does_not_go_to_a_former_master_that_came_back(replicated: ReplicatedValkey) -> None:
    ledger = redis_ledger(load_settings({"redis_url": replicated.url}), connections=1)
    try:
        await ledger.submit([new_task()])
        former, task = replicated.master, new_task()
        former.stand_still()
        submitting = asyncio.create_task(ledger.submit([task]))  # it waits for the answer
        await asyncio.to_thread(replicated.wait_failover, former)
        former.kill()
        await asyncio.to_thread(former.start)  # for a while it holds itself for the master
        await in_time(lambda: submitting)
        with replicated.client(replicated.master) as client:
            assert client.exists(f"cf:task:{task.id}") == 1
    finally:
        await ledger.close()


def test_a_lease_is_kept_through_a_failover(replicated: ReplicatedValkey) -> None:
    lease, died = Lease(2.0), threading.Event()
    keeper = LeaseKeeper(
        replicated.url,
        WorkerRecord("w1", [WorkerType.SCRAPE], 1),
        lease_s=2.0,
        lease=lease,
        on_cancelled=lambda ids: None,
        on_death=died.set,
    )
    keeper.start()
    try:
        wait_until(lambda: lease.holds, "a first lease")
        former = replicated.master
        former.kill()
        replicated.wait_failover(former)
        with replicated.client(replicated.master) as client:
            wait_until(
                lambda: float(client.zscore("cf:lease", "w1") or 0) / 1000 > time.time(), "a new lease", SETTLED_S
            )
        wait_until(lambda: lease.holds, "the keeper's word of it", SETTLED_S)
        assert not died.is_set()
    finally:
        keeper.stop()


def test_the_doctor_finds_the_master(replicated: ReplicatedValkey) -> None:
    report = asyncio.run(examine_redis(replicated.url, 5.0))
    assert (report.policy, report.append_only, report.append_fsync) == ("noeviction", True, "everysec")


@contextmanager
def reaper(url: str, directory: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`codeforge reaper`."""
    environment = process_environment() | {f"{PREFIX}REDIS_URL": url, "PYTHONPATH": os.getcwd()}
    with (directory / "reaper.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "codeforge", "reaper"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(SETTLED_S)


async def scraped(ledger: Ledger, task: NewTask) -> None:
    """Until the task has succeeded."""
    async with asyncio.timeout(3 * SETTLED_S):
        while (state := (await in_time(lambda: ledger.get("acme", task.id))).state) is not TaskState.SUCCEEDED:
            assert not state.terminal
            await asyncio.sleep(0.05)


async def test_worker_and_reaper_go_on_after_a_failover(replicated: ReplicatedValkey, tmp_path: Path) -> None:
    settings = {"REDIS_URL": replicated.url, "ALLOW_PRIVATE_HOSTS": "127.0.0.1"}
    worker = CeleryWorker(replicated.servers[0], tmp_path, "workers.main", settings=settings)
    ledger = redis_ledger(load_settings({"redis_url": replicated.url}), connections=4)
    with Site() as site, reaper(replicated.url, tmp_path) as reaping:
        before, after = (new_task(input=orjson.dumps({"urls": [site.url("/tiny")]})) for _ in range(2))
        try:
            worker.wait_ready()
            await ledger.submit([before])
            await scraped(ledger, before)
            former = replicated.master
            former.kill()
            await in_time(lambda: ledger.submit([after]))
            await scraped(ledger, after)
            assert reaping.poll() is None
            worker.signal(signal.SIGTERM)
            assert worker.wait_exit() == 0
        except BaseException:
            print(worker.output, (tmp_path / "reaper.log").read_text())  # noqa: T201 - pytest shows it
            raise
        finally:
            worker.close()
            await ledger.close()
