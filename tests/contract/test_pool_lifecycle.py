"""Starts, stops and faults of a worker with the asyncio pool; each test has a worker of its own."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codeforge.broker.app import make_app
from codeforge.broker.message import ring
from codeforge.settings import load_settings
from codeforge.worker_types import Priority, WorkerType
from tests.contract.monitor import Events
from tests.servers.celery_worker import CeleryWorker, wait_until
from tests.servers.valkey import ValkeyServer

Start = Callable[..., CeleryWorker]


@pytest.fixture
def start(valkey: ValkeyServer, tmp_path: Path) -> Iterator[Start]:
    """Starts workers: `start(NAME=value...)` with these settings."""
    workers: list[CeleryWorker] = []

    def start_worker(**settings: str) -> CeleryWorker:
        worker = CeleryWorker(valkey, tmp_path, "tests.contract.apps.pool_app", settings=settings)
        workers.append(worker)
        return worker

    yield start_worker
    for worker in workers:
        worker.close()


def ring_for(worker: CeleryWorker, task_id: str, worker_type: WorkerType, priority: Priority) -> None:
    message = ring(task_id, worker_type, priority)
    worker.redis.lpush(message.queue, message.body)


def test_priorities_are_strict_and_types_of_one_priority_take_turns(start: Start) -> None:
    worker = start(WORKER_TYPE="general", MAX_CONCURRENT_TASKS="1")
    worker.wait_ready()
    worker.send("hold-0-gate-first")
    worker.wait_log("run hold-0-gate-first")
    ring_for(worker, "sleep-1-low", WorkerType.SCRAPE, Priority.LOW)
    for worker_type in (WorkerType.SCRAPE, WorkerType.CODING):
        for number in range(3):
            ring_for(worker, f"sleep-1-{worker_type}{number}", worker_type, Priority.NORMAL)
    ring_for(worker, "sleep-1-high", WorkerType.DEBATE, Priority.HIGH)
    worker.open("gate")
    worker.wait_log("done sleep-1-low")
    order = [line.rsplit("-", 1)[1] for line in worker.log if line.startswith("run ")]
    assert order[:2] == ["first", "high"]
    assert order[-1] == "low"
    assert order[2:-1] in (
        ["coding0", "scrape0", "coding1", "scrape1", "coding2", "scrape2"],
        ["scrape0", "coding0", "scrape1", "coding1", "scrape2", "coding2"],
    )


def test_sigterm_stops_claiming_drains_and_exits_0(start: Start) -> None:
    worker = start(MAX_CONCURRENT_TASKS="3", DRAIN_S="3")
    worker.wait_ready()
    for task_id in ("hold-0-drain-short", "sleep-600000-long"):
        worker.send(task_id)
    worker.wait_log("run hold-0-drain-short", "run sleep-600000-long")
    worker.signal(signal.SIGTERM)
    worker.wait_log("drain 3")
    worker.send("sleep-1-late")
    assert worker.wait_exit() == 0
    assert "done hold-0-drain-short" in worker.log
    assert "cancelled sleep-600000-long" in worker.log
    assert worker.log[-1] == "stop"
    assert "run sleep-1-late" not in worker.log


def test_a_monitor_hears_how_the_last_tasks_ended(start: Start, valkey: ValkeyServer) -> None:
    worker = start(MAX_CONCURRENT_TASKS="1", DRAIN_S="600")
    worker.wait_ready()
    with make_app(load_settings({"REDIS_URL": valkey.url}), (WorkerType.SCRAPE,)) as app, Events(app) as events:
        worker.send("sleep-500-last")
        worker.wait_log("run sleep-500-last")
        worker.signal(signal.SIGTERM)
        assert worker.wait_exit() == 0
        events.wait("sleep-500-last", "task-succeeded")


def test_a_task_that_ignores_its_cancellation_does_not_keep_the_worker_alive(start: Start) -> None:
    worker = start(MAX_CONCURRENT_TASKS="2", DRAIN_S="0")
    worker.wait_ready()
    worker.send("stubborn-600000-a")
    worker.wait_log("run stubborn-600000-a")
    worker.signal(signal.SIGTERM)
    assert worker.wait_exit() == 0
    assert "1 tasks did not end when they were cancelled" in worker.output


def test_sigquit_hands_back_at_once(start: Start) -> None:
    worker = start(MAX_CONCURRENT_TASKS="2", DRAIN_S="600")
    worker.wait_ready()
    worker.send("sleep-600000-a")
    worker.wait_log("run sleep-600000-a")
    worker.signal(signal.SIGQUIT)
    worker.wait_exit()
    assert "drain 0" in worker.log
    assert "cancelled sleep-600000-a" in worker.log


def test_sigquit_amid_a_message_stops_as_cleanly(start: Start) -> None:
    worker = start(MAX_CONCURRENT_TASKS="2", DRAIN_S="600", LLM_MODEL="quit-amid-a-message")
    worker.wait_ready()
    worker.send("sleep-600000-a")
    assert worker.wait_exit() == 0
    assert {"drain 0", "stop"} <= set(worker.log)
    assert "Traceback" not in worker.output


def test_a_second_sigint_cuts_a_drain_short(start: Start) -> None:
    worker = start(MAX_CONCURRENT_TASKS="2", DRAIN_S="600")
    worker.wait_ready()
    worker.send("sleep-600000-a")
    worker.wait_log("run sleep-600000-a")
    worker.signal(signal.SIGINT)
    worker.wait_log("drain 600")
    worker.signal(signal.SIGINT)
    worker.wait_exit()
    assert "cancelled sleep-600000-a" in worker.log


def test_sigquit_cuts_a_drain_short(start: Start) -> None:
    worker = start(MAX_CONCURRENT_TASKS="2", DRAIN_S="600")
    worker.wait_ready()
    worker.send("sleep-600000-a")
    worker.wait_log("run sleep-600000-a")
    worker.signal(signal.SIGTERM)
    worker.wait_log("drain 600")
    worker.signal(signal.SIGQUIT)
    worker.wait_exit()
    assert "cancelled sleep-600000-a" in worker.log


def test_a_dead_loop_ends_the_process_with_an_error(start: Start) -> None:
    worker = start(MAX_CONCURRENT_TASKS="4")
    worker.wait_ready()
    worker.send("sleep-600000-beside")
    worker.wait_log("run sleep-600000-beside")
    worker.send("stoploop-1-a")
    assert worker.wait_exit() == 1
    assert "the event loop died" in worker.output


def test_a_runtime_that_cannot_start_stops_the_worker_with_one_line(start: Start) -> None:
    worker = start(LLM_MODEL="no-start")
    assert worker.wait_exit() == 1
    assert "the worker cannot start: the ledger at 127.0.0.1 does not answer" in worker.output
    assert "Traceback" not in worker.output


def test_a_lost_broker_interrupts_no_task_and_is_found_again(start: Start, valkey: ValkeyServer) -> None:
    worker = start(MAX_CONCURRENT_TASKS="4")
    worker.wait_ready()
    for number in range(4):
        worker.send(f"hold-0-outage-{number}")
    for number in range(20):
        worker.send(f"sleep-5-waiting{number}")
    wait_until(lambda: worker.count("run") == 4, "four running")
    valkey.restart()
    worker.open("outage")
    wait_until(lambda: worker.count("done") == 24, "all done")
    assert worker.count("run") == 24  # none ran twice
    worker.wait_output("Connection to broker lost")
    worker.send("sleep-1-after")
    worker.wait_log("done sleep-1-after")
    worker.signal(signal.SIGTERM)
    assert worker.wait_exit() == 0


def test_a_worker_without_a_broker_stops_on_sigterm(start: Start, valkey: ValkeyServer) -> None:
    worker = start()
    worker.wait_ready()
    valkey.kill()
    worker.wait_output("Cannot connect to redis://")
    worker.signal(signal.SIGTERM)
    assert worker.wait_exit() == 0
