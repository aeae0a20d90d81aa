"""Redis and Sentinels over TLS, as the component redis-tls starts them, and everything of ours that speaks to them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from codeforge.broker.app import make_app
from codeforge.errors import LedgerUnavailable
from codeforge.ledger.connection import connect_sync
from codeforge.ledger.diagnosis import examine_redis
from codeforge.settings import Settings, load_settings
from codeforge.worker_types import WorkerType
from tests.conftest import REDIS_SERVER
from tests.contract.conftest import lane_address
from tests.deploy.redis_pods import PASSWORDS, RedisPods
from tests.servers.celery_worker import wait_until

pytestmark = pytest.mark.anyio


def openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, capture_output=True, timeout=60, check=True)


def certificates(directory: Path) -> Path:
    """`ca.crt`, and `tls.crt` with `tls.key` for 127.0.0.1 that it signed."""
    directory.mkdir()
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    authority = ("-subj", "/CN=authority", "-addext", "basicConstraints=critical,CA:TRUE", "-days", "1")
    openssl(directory, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", *authority)
    openssl(directory, "req", *key, "-keyout", "tls.key", "-out", "tls.csr", "-subj", "/CN=redis")
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", "1")
    openssl(directory, "x509", "-req", "-in", "tls.csr", "-out", "tls.crt", *signing)
    return directory


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisPods]:
    """Three Redis and three Sentinels that have found each other, all over TLS."""
    server = lane_address(REDIS_SERVER, "install redis-server and set it to the path of its binary")
    directory = tmp_path_factory.mktemp("pods")
    with RedisPods(directory, Path(server), certificates(directory / "tls")) as started:
        wait_until(started.all_ready, "replicas that have caught up", 60)
        wait_until(started.sentinels_agree, "Sentinels that know each other", 60)
        yield started


@pytest.fixture
def settings(pods: RedisPods) -> Settings:
    return load_settings(pods.settings)


async def test_the_ledger_s_clients_reach_the_master(settings: Settings) -> None:
    report = await examine_redis(settings.redis_address, 10)
    assert (report.policy, report.append_only) == ("noeviction", True)
    with connect_sync(settings.redis_address, timeout_s=10) as client:
        assert client.set("written", 1)


async def test_an_authority_that_is_not_trusted_is_refused(pods: RedisPods, tmp_path: Path) -> None:
    other = certificates(tmp_path / "other") / "ca.crt"
    settings = load_settings(pods.settings | {"redis_ca_file": str(other)})
    with pytest.raises(LedgerUnavailable):
        await examine_redis(settings.redis_address, 5)


def test_celery_reaches_the_master(settings: Settings) -> None:
    app = make_app(settings, [WorkerType.SCRAPE])
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, timeout=10)
        queue = connection.SimpleQueue("scrape")
        queue.put({"id": "x"})
        message = queue.get(timeout=10)
        assert message.payload == {"id": "x"}
        message.ack()
        queue.close()


def test_nothing_is_answered_in_the_clear(pods: RedisPods) -> None:
    with pods.client("redis", 0) as secure:
        port = secure.connection_pool.connection_kwargs["port"]
    with (
        redis.Redis(port=port, password=PASSWORDS["redis"], socket_timeout=5) as client,
        pytest.raises(redis.ConnectionError),
    ):
        client.ping()
