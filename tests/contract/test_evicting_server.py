"""A server that would drop tasks: each process says so in one line, and does not start."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from codeforge.settings import PREFIX, process_environment
from tests.servers.celery_worker import CeleryWorker
from tests.servers.valkey import ValkeyServer

START_S = 60.0
LINE = "maxmemory-policy allkeys-lru, which drops tasks when memory is full: set noeviction there"


@pytest.fixture
def evicting(valkey: ValkeyServer) -> Iterator[ValkeyServer]:
    with redis.Redis.from_url(valkey.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        yield valkey
        client.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize("command", ["api", "projector", "reaper"])
def test_a_process_refuses_it_at_start(evicting: ValkeyServer, command: str) -> None:
    environment = process_environment() | {f"{PREFIX}REDIS_URL": evicting.url, "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, "-m", "codeforge", command], env=environment, capture_output=True, timeout=START_S, text=True
    )
    (line,) = done.stderr.splitlines()
    assert (done.returncode, LINE in line, "CODEFORGE_REDIS_URL" in line) == (2, True, True)


def test_a_worker_refuses_it_at_start(evicting: ValkeyServer, tmp_path: Path) -> None:
    worker = CeleryWorker(evicting, tmp_path, "workers.main")
    try:
        assert worker.wait_exit() != 0
        assert LINE in worker.output
        assert "Traceback" not in worker.output
    finally:
        worker.close()
