"""`celery -A workers.main worker`, as it is deployed."""

import json
import signal
from pathlib import Path

from codeforge.worker_types import GENERAL
from tests.servers.celery_worker import CeleryWorker, wait_until
from tests.servers.valkey import ValkeyServer


def test_a_wrong_setting_ends_it_with_one_line_that_names_it(valkey: ValkeyServer, tmp_path: Path) -> None:
    worker = CeleryWorker(valkey, tmp_path, "workers.main", settings={"WORKER_TYPE": "nonsense"})
    try:
        assert worker.wait_exit() == 2
        (line,) = worker.output.splitlines()
        assert "CODEFORGE_WORKER_TYPE" in line
    finally:
        worker.close()


def test_it_starts_with_its_real_runtime_and_stops_cleanly(valkey: ValkeyServer, tmp_path: Path) -> None:
    worker = CeleryWorker(valkey, tmp_path, "workers.main", settings={"WORKER_TYPE": GENERAL})
    try:
        worker.wait_ready()
        worker.send("0198c0de-0000-7000-8000-000000000000")  # a bell for a task that the ledger does not have
        wait_until(lambda: worker.redis.llen("scrape") == 0, "the message taken")
        worker.signal(signal.SIGTERM)
        assert worker.wait_exit() == 0
        lines = [json.loads(line) for line in worker.output.splitlines() if line.startswith("{")]
        assert [line for line in lines if line["level"] in ("error", "critical")] == []
        assert {line["process"] for line in lines} == {"worker"}
        assert "Traceback" not in worker.output
    finally:
        worker.close()
