"""Fixtures that every suite shares."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.servers.valkey import ValkeyServer

settings.register_profile("suite", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
"""Property tests try the same cases in every run, and no clock judges them. `--hypothesis-profile=long` looks for new
ones, at random."""

REDIS_SERVER = "CODEFORGE_TEST_REDIS_SERVER"
"""Environment: the path of another `redis-server`, which the ledger's contract runs on in place of Valkey."""


@pytest.fixture(scope="session", autouse=True)
def _plain_tracebacks() -> None:
    """No process here sets up its logs, and without that structlog draws a traceback with all its variables, which
    takes seconds of processor on a busy machine: leases of the ledger in memory end in that time."""
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """`@pytest.mark.anyio` tests run on asyncio only."""
    return "asyncio"


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One real Valkey for the whole run; tests take `valkey`."""
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def valkey(valkey_server: ValkeyServer) -> ValkeyServer:
    """The run's Valkey: up and empty."""
    valkey_server.start()
    valkey_server.flush()
    return valkey_server


@pytest.fixture(scope="session")
def _ledger_engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    binary = os.environ.get(REDIS_SERVER)
    if binary is None:
        yield request.getfixturevalue("valkey_server")
        return
    server = ValkeyServer(tmp_path_factory.mktemp("redis"), Path(binary))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def ledger_server(_ledger_engine: ValkeyServer) -> ValkeyServer:
    """The engine under the ledger's contract, up and empty."""
    _ledger_engine.start()
    _ledger_engine.flush()
    return _ledger_engine
