"""Fixtures that every suite shares."""

from collections.abc import Iterator

import pytest

from tests.servers.valkey import ValkeyServer


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


@pytest.fixture
def ledger_server(valkey: ValkeyServer) -> ValkeyServer:
    """The engine under the ledger's contract."""
    return valkey
