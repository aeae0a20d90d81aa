"""The lease keeper on a real engine: a thread that no busy loop can make miss a beat."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
import redis

from codeforge.ledger.heartbeat import LeaseKeeper
from codeforge.ledger.keys import LEASES
from codeforge.ledger.lease import Lease
from codeforge.ledger.port import WorkerRecord
from codeforge.worker_types import WorkerType
from tests.contract.ledger_engines import opened_ledger
from tests.servers.celery_worker import wait_until
from tests.servers.valkey import ValkeyServer

pytestmark = pytest.mark.anyio

RECORD = WorkerRecord("w1", [WorkerType.SCRAPE], 3)
LEASE_S = 2.0
WAIT_S = 60.0


@dataclass
class Heard:
    """What the keeper said, in its thread."""

    lease: Lease = field(default_factory=lambda: Lease(LEASE_S))
    cancelled: list[str] = field(default_factory=list)
    spoke: threading.Event = field(default_factory=threading.Event)
    died: threading.Event = field(default_factory=threading.Event)

    def on_cancelled(self, attempts: Sequence[str]) -> None:
        self.cancelled += attempts
        self.spoke.set()


@pytest.fixture
def heard() -> Heard:
    return Heard()


def keeper_of(server: ValkeyServer, heard: Heard, on_cancelled: Callable[[Sequence[str]], None]) -> LeaseKeeper:
    return LeaseKeeper(
        server.url, RECORD, lease_s=LEASE_S, lease=heard.lease, on_cancelled=on_cancelled, on_death=heard.died.set
    )


@pytest.fixture
def keeper(ledger_server: ValkeyServer, heard: Heard) -> Iterator[LeaseKeeper]:
    made = keeper_of(ledger_server, heard, heard.on_cancelled)
    made.start()
    yield made
    made.stop()


async def alive(url: str, workers: int) -> bool:
    """Whether the ledger comes to count so many live workers, in time."""
    async with opened_ledger(url) as cf:
        for _ in range(int(WAIT_S / 0.02)):
            depth = (await cf.ledger.snapshot()).depths[WorkerType.SCRAPE]
            if (depth.workers, depth.slots) == (workers, workers * RECORD.slots):
                return True
            threading.Event().wait(0.02)  # the keeper's thread needs no loop to turn
    return False


def lapses(url: str, lease: Lease) -> int:
    """Blocks the caller's loop until the lease would be over if nobody renewed it. How often it was seen not to hold,
    other than after a pause of this process or of the server: on a busy machine those may outlast a lease."""
    excused, seen, last = False, 0, time.monotonic()
    with redis.Redis.from_url(url) as client:
        first = float(client.zscore(LEASES, RECORD.id) or 0)

        def over() -> bool:
            nonlocal excused, seen, last
            until = float(client.zscore(LEASES, RECORD.id) or 0)
            held, before, last = lease.holds, last, time.monotonic()
            excused = not held and (excused or last - before > LEASE_S / 4)
            seen += not (held or excused)
            return until > first + 1_000 * LEASE_S

        wait_until(over, "a lease beyond the first one's end")
    return seen


@pytest.mark.usefixtures("keeper")
async def test_lease_is_taken_and_kept(ledger_server: ValkeyServer, heard: Heard) -> None:
    assert await alive(ledger_server.url, 1)
    assert lapses(ledger_server.url, heard.lease) == 0
    assert await alive(ledger_server.url, 1)
    assert not heard.died.is_set()


async def test_lease_that_is_kept_no_more_runs_out(
    ledger_server: ValkeyServer, keeper: LeaseKeeper, heard: Heard
) -> None:
    assert await alive(ledger_server.url, 1)
    keeper.stop()
    assert await alive(ledger_server.url, 0)
    assert not heard.lease.holds  # it ended for the worker first


@pytest.mark.usefixtures("keeper")
async def test_cancelled_task_is_heard_of(ledger_server: ValkeyServer, heard: Heard) -> None:
    async with opened_ledger(ledger_server.url) as cf:
        task = await cf.submitted()
        claimed = await cf.claimed(task.id)
        await cf.ledger.cancel("acme", task.id)
    assert heard.spoke.wait(WAIT_S)
    assert heard.cancelled == [claimed.claim.attempt]


@pytest.mark.usefixtures("keeper")
async def test_outage_is_outlived(ledger_server: ValkeyServer, heard: Heard) -> None:
    assert await alive(ledger_server.url, 1)
    ledger_server.kill()
    threading.Event().wait(LEASE_S)
    ledger_server.start()
    assert await alive(ledger_server.url, 1)
    assert not heard.died.is_set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # that is what dies here
async def test_death_of_the_thread_is_told(ledger_server: ValkeyServer, heard: Heard) -> None:
    def fail(task_ids: Sequence[str]) -> None:
        raise KeyError("a bug")

    keeper = LeaseKeeper(
        ledger_server.url, RECORD, lease_s=LEASE_S, lease=Lease(LEASE_S), on_cancelled=fail, on_death=heard.died.set
    )
    async with opened_ledger(ledger_server.url) as cf:
        task = await cf.submitted()
        await cf.claimed(task.id)
        await cf.ledger.cancel("acme", task.id)
    keeper.start()
    assert heard.died.wait(WAIT_S)
    keeper.stop()
