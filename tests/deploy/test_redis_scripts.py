"""The scripts with which Redis and Sentinel start on Kubernetes, with real servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from codeforge.local.valkey import SMALL_KEYS
from tests.conftest import REDIS_SERVER
from tests.contract.conftest import lane_address
from tests.deploy.redis_pods import COUNT, RedisPods
from tests.servers.celery_worker import wait_until

WAIT_S = 75.0
"""A Sentinel that was kept from running for two seconds trusts nothing for thirty (its TILT mode)."""


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[RedisPods]:
    """Three Redis and three Sentinels that have found each other."""
    server = lane_address(REDIS_SERVER, "install redis-server and set it to the path of its binary")
    with RedisPods(tmp_path, Path(server)) as started:
        wait_until(started.all_ready, "replicas that have caught up", WAIT_S)
        wait_until(started.sentinels_agree, "Sentinels that know each other", WAIT_S)
        yield started


def roles(pods: RedisPods) -> list[str]:
    found = []
    for number in range(COUNT):
        with pods.client("redis", number) as client:
            found.append(client.execute_command("ROLE")[0])
    return found


def holds(pods: RedisPods, number: int, name: str) -> bool:
    try:
        with pods.client("redis", number) as client:
            return client.get(name) is not None
    except redis.ConnectionError:
        return False


def test_a_master_hands_over_and_its_data_outlive_everybody(pods: RedisPods) -> None:
    first = pods.master()  # the first Redis, unless the machine stood still for a moment
    with pods.client("redis", first) as client:
        client.set("before", 1)
        assert client.wait(COUNT - 1, 30_000) == COUNT - 1
        config = client.config_get("maxmemory-policy", "appendonly", "appendfsync", "min-replicas-to-write")
        small_keys = client.config_get(*SMALL_KEYS)
    assert set(config.values()) == {"noeviction", "yes", "everysec", "1"}
    assert small_keys == SMALL_KEYS

    assert pods.run("stop-redis.sh", "redis", first) == 0
    wait_until(lambda: pods.master() != first, "the first Sentinel's word of another master", WAIT_S)
    second = pods.master()
    assert roles(pods)[first] == "slave"
    wait_until(lambda: pods.takes_writes(second), "a replica that the new master has heard from", WAIT_S)
    with pods.client("redis", second) as client:
        client.set("after", 1)
        client.wait(1, 30_000)

    for number in range(COUNT):
        pods.kill("redis", number)
        pods.kill("sentinel", number)
    for number in range(COUNT):  # no Sentinel answers yet: each goes by what was last written into its claim
        pods.start("redis", number)
    wait_until(lambda: holds(pods, second, "after"), "master that is back", WAIT_S)
    assert roles(pods).count("master") == 1
    for number in range(COUNT):
        pods.start("sentinel", number)
    wait_until(lambda: all(holds(pods, number, "after") for number in range(COUNT)), "data on every Redis", WAIT_S)
    wait_until(pods.sentinels_agree, "Sentinels that know each other again", WAIT_S)
    assert pods.master() == second


def test_a_master_that_lost_its_volume_empties_nobody(pods: RedisPods) -> None:
    first = pods.master()
    with pods.client("redis", first) as client:
        client.set("kept", 1)
        assert client.wait(COUNT - 1, 30_000) == COUNT - 1
    pods.kill("redis", first)
    pods.lose_volume(first)
    pods.start("redis", first)
    wait_until(
        lambda: pods.master() != first and holds(pods, first, "kept"),
        "former master that has copied the new one",
        WAIT_S,
    )
    assert "waiting for a failover" in pods.log("redis", first).read_text()
    assert all(holds(pods, number, "kept") for number in range(COUNT))


def test_a_server_is_alive_while_it_is_not_ready(pods: RedisPods) -> None:
    assert [pods.run("alive.sh", kind, 1) for kind in ("redis", "sentinel")] == [0, 0]
    for number in range(COUNT):
        pods.kill("sentinel", number)
    pods.kill("redis", 0)
    wait_until(lambda: pods.run("ready.sh", "redis", 1) != 0, "replica that misses its master", WAIT_S)
    assert pods.run("alive.sh", "redis", 1) == 0
    pods.kill("redis", 1)
    assert pods.run("alive.sh", "redis", 1) != 0
