"""The API as a process of its own: how it ends, and that it says what it cannot begin with."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from codeforge.wiring.ledger import REQUEST_S
from tests.patience import PATIENCE_S
from tests.servers.otlp import OtlpServer
from tests.servers.valkey import free_port


@pytest.fixture
def collector() -> Iterator[OtlpServer]:
    with OtlpServer() as server:
        yield server


def answered(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


@contextmanager
def running(given: Mapping[str, str], log: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Its address, and the process, once it answers."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    environment = os.environ | {f"CODEFORGE_{name}": value for name, value in {"API_PORT": str(port), **given}.items()}
    with log.open("w") as output:
        command = [sys.executable, "-m", "codeforge", "api"]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not answered(f"{url}/healthz"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield url, process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_well_and_sends_its_last_traces(number: signal.Signals, collector: OtlpServer, tmp_path: Path) -> None:
    given = {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0", "OTLP_ENDPOINT": collector.url}
    with running(given, tmp_path / "api.log") as (url, process):
        answer = httpx.get(f"{url}/queues", trust_env=False, timeout=PATIENCE_S)
        assert answer.status_code == 503  # there is no Redis; it is traced
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == 0
    assert "Aborted" not in (tmp_path / "api.log").read_text()
    assert "GET /queues" in {span.name for span in collector.spans}


@pytest.mark.slow
def test_a_ledger_that_stands_still_is_told_before_clients_give_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        given = {"REDIS_URL": f"redis://127.0.0.1:{silent.getsockname()[1]}/0"}
        with running(given, tmp_path / "api.log") as (url, _):
            for path in ("/queues", "/tasks"):
                answer = httpx.get(url + path, trust_env=False, timeout=2 * REQUEST_S)
                assert (answer.status_code, answer.json()["code"]) == (503, "ledger_unavailable")


def test_a_port_that_is_taken_is_told_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = {"API_PORT": str(taken.getsockname()[1]), "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
        environment = os.environ | {f"CODEFORGE_{name}": value for name, value in given.items()}
        command = [sys.executable, "-m", "codeforge", "api"]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
    assert ended.returncode == 2
    assert ended.stderr.startswith("codeforge: CODEFORGE_API_PORT: ")
    assert ended.stderr.count("\n") == 1
