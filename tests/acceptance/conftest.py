"""One stack for the run, with a local site and a local model server beside it."""

from collections.abc import Iterator

import httpx
import pytest

from tests.acceptance.stack import Stack, eventually, running_stack
from tests.patience import PATIENCE_S
from tests.servers.model import ModelServer
from tests.servers.otlp import OtlpServer
from tests.servers.site import Site


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The pages that tasks fetch."""
    with Site() as served:
        yield served


@pytest.fixture(scope="session")
def model() -> Iterator[ModelServer]:
    """The model's service."""
    with ModelServer() as served:
        yield served


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, site: Site, model: ModelServer) -> Iterator[Stack]:
    """The stack that most tests share; they neither stop nor break it."""
    settings = {"ALLOW_PRIVATE_HOSTS": "127.0.0.1", "LLM_BASE_URL": model.url}
    with running_stack(tmp_path_factory.mktemp("stack") / "data", settings) as running:
        yield running


@pytest.fixture(scope="session")
def monitored(stack: Stack) -> Stack:
    """The same one, once Flower hears its worker: what was told before that, Flower never knows."""

    def hears() -> bool:
        metrics = httpx.get(f"{stack.ready['flower']}/metrics", trust_env=False, timeout=PATIENCE_S)
        return "flower_worker_online{" in metrics.text

    eventually(hears, "a worker in Flower")
    return stack


@pytest.fixture(scope="session")
def collector() -> Iterator[OtlpServer]:
    """What receives the traces of `mortal`."""
    with OtlpServer() as server:
        yield server


@pytest.fixture(scope="session")
def slow_model() -> Iterator[ModelServer]:
    """The model's service that `mortal` asks."""
    with ModelServer() as served:
        yield served


@pytest.fixture(scope="session")
def mortal(tmp_path_factory: pytest.TempPathFactory, slow_model: ModelServer, collector: OtlpServer) -> Iterator[Stack]:
    """The stack whose worker tests may kill: its tasks are soon taken back. It is traced too."""
    settings = {
        "ALLOW_PRIVATE_HOSTS": "127.0.0.1", "LLM_BASE_URL": slow_model.url, "OTLP_ENDPOINT": collector.url,
        "LEASE_S": "5",
    }  # fmt: skip
    with running_stack(tmp_path_factory.mktemp("mortal") / "data", settings) as running:
        yield running
