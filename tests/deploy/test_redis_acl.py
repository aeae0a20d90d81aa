"""The Redis users of the component redis-acl, with a real server that the shipped script starts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from codeforge.ledger import keys
from codeforge.worker_types import WorkerType
from tests.conftest import REDIS_SERVER
from tests.contract.conftest import lane_address
from tests.deploy.facts import load_yaml
from tests.deploy.kustomize import K8S
from tests.deploy.redis_pods import RedisPods
from tests.servers.celery_worker import wait_until

ROLES = ("api", "worker", "projector", "reaper", "flower", "keda")
COUNTS = "return redis.call(({zset='zcard', list='llen', none='llen'})[redis.call('type', KEYS[1]).ok], KEYS[1])"
"""What KEDA's redis scalers do in a script: the length of a key of any type."""


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisPods]:
    """Three Redis with the users, each of which has its name for a password."""
    server = lane_address(REDIS_SERVER, "install redis-server and set it to the path of its binary")
    rules = load_yaml(K8S / "components" / "redis-acl" / "roles.yaml")["data"]["REDIS_ROLES"]
    told = {"REDIS_ROLES": rules} | {f"REDIS_{role.upper()}_PASSWORD": role for role in ROLES}
    with RedisPods(tmp_path_factory.mktemp("pods"), Path(server), told=told) as started:
        wait_until(started.all_ready, "replicas that have caught up", 60)
        with started.client("redis", started.master()) as client:
            client.hset("cf:task:x", "payload", "a tenant's own")
            client.zadd(keys.queued(WorkerType.SCRAPE), {"x": 1})
        yield started


@pytest.fixture
def client(pods: RedisPods, request: pytest.FixtureRequest) -> Iterator["redis.Redis"]:
    """A client of the master, as the role that the test names."""
    with pods.client("redis", pods.master()) as own:
        port = own.connection_pool.connection_kwargs["port"]
    role = request.param
    with redis.Redis(port=port, username=role, password=role, decode_responses=True) as made:
        yield made


@pytest.mark.parametrize("client", ROLES, indirect=True)
@pytest.mark.parametrize(
    "command", ["CONFIG GET requirepass", "FLUSHALL", "KEYS *", "ACL LIST", "SHUTDOWN", "MODULE LIST"]
)
def test_nobody_may_administer(client: "redis.Redis", command: str) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command.split())


@pytest.mark.parametrize("client", ["api", "worker", "projector", "reaper"], indirect=True)
def test_our_processes_reach_the_ledger_and_its_memory_figures(client: "redis.Redis") -> None:
    assert client.hget("cf:task:x", "payload") == "a tenant's own"
    assert client.info("memory")["maxmemory_policy"] == "noeviction"
    assert client.eval("return redis.call('hget', KEYS[1], 'payload')", 1, "cf:task:x") == "a tenant's own"


@pytest.mark.parametrize("client", ["keda"], indirect=True)
def test_keda_counts_and_does_nothing_else(client: "redis.Redis") -> None:
    assert client.eval(COUNTS, 1, keys.queued(WorkerType.SCRAPE)) == 1
    assert client.eval(COUNTS, 1, keys.running(WorkerType.SCRAPE)) == 0
    assert client.xlen(keys.outbox(0)) == 0
    for forbidden in ("HGETALL cf:task:x", "ZADD cf:queued:scrape 1 y", "DEL cf:queued:scrape"):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*forbidden.split())
    with pytest.raises(redis.exceptions.ResponseError):
        client.eval("return redis.call('del', KEYS[1])", 1, keys.queued(WorkerType.SCRAPE))


@pytest.mark.parametrize("client", ["flower"], indirect=True)
def test_flower_sees_no_task(client: "redis.Redis") -> None:
    assert client.llen("scrape") == 0
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.hgetall("cf:task:x")
