"""`codeforge flower` against a real broker."""

import http.client
import os
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from codeforge.errors import SettingsError
from codeforge.processes.flower import flower_command
from codeforge.settings import load_settings
from tests.servers.celery_worker import CeleryWorker, wait_until
from tests.servers.replicated import ReplicatedValkey
from tests.servers.valkey import ValkeyServer, free_port

START_S = 60.0


def status(port: int, path: str, credentials: str = "") -> int:
    """The status of a GET."""
    return get(port, path, credentials)[0]


def body(port: int, path: str, credentials: str) -> str:
    """What a GET answers."""
    return get(port, path, credentials)[1]


def get(port: int, path: str, credentials: str) -> tuple[int, str]:
    """Status and body of a GET."""
    headers = {"Authorization": f"Basic {b64encode(credentials.encode()).decode()}"} if credentials else {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_S)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def answers(port: int) -> bool:
    try:
        return status(port, "/healthcheck") == 200
    except OSError:
        return False


@contextmanager
def started(redis_url: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    settings = {"REDIS_URL": redis_url, "FLOWER_PORT": str(port), "FLOWER_BASIC_AUTH": "me:secret"}
    environment = os.environ | {f"CODEFORGE_{name}": value for name, value in settings.items()}
    process = subprocess.Popen([sys.executable, "-m", "codeforge", "flower"], env=environment)
    try:
        deadline = time.monotonic() + START_S
        while not answers(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield process, port
    finally:
        process.kill()
        process.wait(timeout=START_S)


@pytest.fixture
def flower(valkey: ValkeyServer) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    with started(valkey.url) as process_and_port:
        yield process_and_port


def test_it_lets_in_who_has_the_password_and_stops_at_sigterm(flower: tuple[subprocess.Popen[bytes], int]) -> None:
    process, port = flower
    assert status(port, "/workers") == 401
    assert status(port, "/workers", "me:wrong") == 401
    assert status(port, "/workers", "me:secret") == 200
    process.terminate()
    assert process.wait(timeout=START_S) == 0


def test_behind_sentinels_it_sees_the_master_s_workers(tmp_path: Path) -> None:
    with ReplicatedValkey(tmp_path) as servers, started(servers.url) as (_, port):
        worker = CeleryWorker(servers.servers[0], tmp_path, "workers.main", settings={"REDIS_URL": servers.url})
        try:
            worker.wait_ready()
            wait_until(lambda: "celery@" in body(port, "/api/workers?refresh=1", "me:secret"), "a worker in Flower")
        finally:
            worker.close()


def test_without_a_password_it_does_not_start() -> None:
    with pytest.raises(SettingsError, match="CODEFORGE_FLOWER_BASIC_AUTH"):
        flower_command(load_settings({}))


def test_the_command_line_shows_no_secret() -> None:
    given = {"REDIS_HOST": "redis", "REDIS_PASSWORD": "hidden-one", "FLOWER_BASIC_AUTH": "me:hidden-two"}
    command, environment = flower_command(load_settings(given))
    assert "hidden" not in " ".join(command)
    assert "--max-tasks=10000" in command  # its own default takes over half a gigabyte
    assert environment["CELERY_BROKER_URL"] == "redis://:hidden-one@redis:6379/0"
    assert not [name for name in environment if name.startswith("CODEFORGE_")]


def test_a_port_that_is_taken_is_told_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = {"FLOWER_PORT": str(taken.getsockname()[1]), "FLOWER_BASIC_AUTH": "me:secret"}
        environment = os.environ | {f"CODEFORGE_{name}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "codeforge", "flower"]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=START_S, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("codeforge: CODEFORGE_FLOWER_PORT: ")
    assert ended.stderr.count("\n") == 1
