"""What only the real ledger can suffer: full memory, lost scripts, an unreachable server."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from codeforge.errors import LedgerUnavailable
from codeforge.ledger import keys
from codeforge.task import TaskState
from codeforge.worker_types import Priority, WorkerType
from tests.contract.ledger_engines import SUCCESS, LedgerServer, opened_ledger
from tests.patience import PATIENCE_S
from tests.servers.valkey import ValkeyServer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def cf(ledger_server: ValkeyServer) -> AsyncIterator[LedgerServer]:
    """The real engine only."""
    async with opened_ledger(ledger_server.url) as engine:
        yield engine


async def test_full_memory_refuses_submissions_and_lets_work_end(cf: LedgerServer) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    await cf.redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(LedgerUnavailable, match="memory"):
            await cf.submitted()
        assert await cf.ledger.finish(claimed.claim, SUCCESS) is TaskState.SUCCEEDED
    finally:
        await cf.redis.config_set("maxmemory", 0)


async def test_unreachable_server_is_an_error_in_time() -> None:
    async with asyncio.timeout(PATIENCE_S), opened_ledger("redis://127.0.0.1:1/0") as cf:
        with pytest.raises(LedgerUnavailable):
            await cf.ledger.snapshot()


async def test_a_wrong_password_is_told_as_such_and_not_shown(ledger_server: ValkeyServer) -> None:
    async with opened_ledger(f"redis://nobody:wrong-one@127.0.0.1:{ledger_server.port}/0") as cf:
        with pytest.raises(LedgerUnavailable, match=r"refuses the user or the password.*REDIS_PASSWORD") as refused:
            await cf.ledger.ping()
    assert refused.value.retryable  # while a password is changed
    assert "wrong-one" not in str(refused.value)


async def test_lost_scripts_and_connections_are_survived(cf: LedgerServer, ledger_server: ValkeyServer) -> None:
    task = await cf.submitted()
    ledger_server.restart()
    claimed = await cf.claimed(task.id)
    assert await cf.ledger.finish(claimed.claim, SUCCESS) is TaskState.SUCCEEDED


async def test_urgent_tasks_that_wait_no_more_are_forgotten(cf: LedgerServer) -> None:
    waiting, claimed = [await cf.submitted(priority=Priority.HIGH) for _ in range(2)]
    await cf.claimed(claimed.id)
    urgent = keys.urgent(WorkerType.SCRAPE)
    await cf.redis.zadd(urgent, {task.id: 0 for task in (waiting, claimed)}, xx=True)
    await cf.reaper.reap()
    assert await cf.redis.zrange(urgent, 0, -1) == [waiting.id.encode()]


async def test_silent_server_fails_a_ping_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.ledger.redis.PING_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        async with asyncio.timeout(PATIENCE_S), opened_ledger(f"redis://127.0.0.1:{port}/0") as cf:
            with pytest.raises(LedgerUnavailable):
                await cf.ledger.ping()
