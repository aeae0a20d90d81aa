"""The stack's own Valkey, started as the supervisor does."""

import asyncio
import os
import stat
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from codeforge.errors import LedgerUnavailable
from codeforge.ledger.diagnosis import examine_redis
from codeforge.local.child import Child
from codeforge.local.ports import settle_ports
from codeforge.local.valkey import valkey_spec, valkey_url
from tests.servers.valkey import ValkeyServer

READY_S = 60.0
PASSWORD = SecretStr("a-generated-password")


async def started(directory: Path, port: int, fsync: str = "everysec") -> Child:
    spec = valkey_spec(directory, port, PASSWORD, fsync)
    child = await Child.start(spec, {"PATH": os.environ["PATH"]}, directory.parent / "valkey.log")
    async with asyncio.timeout(READY_S):
        assert await child.become_ready()
    return child


async def killed(child: Child) -> None:
    child.kill_group()
    async with asyncio.timeout(READY_S):
        await child.exited()


def test_small_rows_and_events_take_little_memory(tmp_path: Path) -> None:
    async def scenario() -> None:
        port = settle_ports({"redis": 0})["redis"]
        child = await started(tmp_path / "redis", port)
        try:
            with redis.Redis.from_url(valkey_url(port, PASSWORD)) as client:
                client.hset("row", mapping={"state": "queued", "input": "x" * 500})
                client.xadd("events", {"kind": "queued", "data": '{"state":"queued"}'})
                assert client.memory_usage("row") < 1_000
                assert client.memory_usage("events") < 1_000
        finally:
            await killed(child)

    asyncio.run(scenario())


@pytest.mark.parametrize("fsync", ["everysec", "always"])
def test_it_keeps_what_it_accepted_and_lets_nobody_in_without_the_password(tmp_path: Path, fsync: str) -> None:
    async def scenario() -> None:
        directory = tmp_path / 'with "quotes" and blanks'
        port = settle_ports({"redis": 0})["redis"]
        child = await started(directory, port, fsync)
        try:
            with redis.Redis.from_url(valkey_url(port, PASSWORD)) as client:
                client.set("key", "value")
                client.execute_command("WAITAOF", 1, 0, 5000)
            with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
                stranger.ping()
            report = await examine_redis(valkey_url(port, PASSWORD), 5.0)
            assert (report.policy, report.append_only, report.append_fsync) == ("noeviction", True, fsync)
            with pytest.raises(LedgerUnavailable, match="refuses the user or the password"):
                await examine_redis(f"redis://127.0.0.1:{port}/0", 5.0)
        finally:
            await killed(child)
        child = await started(directory, port, fsync)
        try:
            with redis.Redis.from_url(valkey_url(port, PASSWORD)) as client:
                assert client.get("key") == b"value"
        finally:
            await killed(child)
        assert stat.S_IMODE((directory / "valkey.conf").stat().st_mode) == 0o600

    asyncio.run(scenario())


def test_the_doctor_sees_an_evicting_server(valkey: ValkeyServer) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            report = asyncio.run(examine_redis(valkey.url, 5.0))
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert report.policy == "allkeys-lru"


def test_the_doctor_says_why_there_is_no_answer() -> None:
    port = settle_ports({"redis": 0})["redis"]
    with pytest.raises(LedgerUnavailable, match="cannot be reached"):
        asyncio.run(examine_redis(f"redis://:secret@127.0.0.1:{port}/0", 1.0))
    with pytest.raises(LedgerUnavailable, match="REDIS_URL"):
        asyncio.run(examine_redis("http://127.0.0.1", 1.0))
