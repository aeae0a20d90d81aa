"""The asyncio pool in Celery's own worker: one worker that all these tests share."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from codeforge.broker.app import make_app
from codeforge.broker.message import ring
from codeforge.settings import load_settings
from codeforge.worker_types import Priority, WorkerType
from tests.contract.monitor import Events
from tests.patience import PATIENCE_S
from tests.servers.celery_worker import CeleryWorker, wait_until
from tests.servers.valkey import ValkeyServer

SLOTS = 8


@pytest.fixture(scope="module")
def worker(valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CeleryWorker]:
    valkey_server.start()
    valkey_server.flush()
    settings = {"MAX_CONCURRENT_TASKS": str(SLOTS)}
    directory: Path = tmp_path_factory.mktemp("pool")
    process = CeleryWorker(valkey_server, directory, "tests.contract.apps.pool_app", settings=settings)
    try:
        process.wait_ready()
        yield process
    finally:
        process.close()


@pytest.fixture(scope="module")
def client(valkey_server: ValkeyServer, worker: CeleryWorker) -> Iterator[Celery]:
    """An application that controls and watches the worker."""
    with make_app(load_settings({"REDIS_URL": valkey_server.url}), (WorkerType.SCRAPE,)) as app:
        yield app


@pytest.fixture(scope="module")
def events(client: Celery) -> Iterator[Events]:
    with Events(client) as listener:
        yield listener


def limited(task_id: str, *, hard_s: float | None = None, soft_s: float | None = None) -> str:
    """A message with Celery's own time limits."""
    envelope = json.loads(ring(task_id, WorkerType.SCRAPE, Priority.NORMAL).body)
    envelope["headers"]["timelimit"] = [hard_s, soft_s]
    return json.dumps(envelope)


def runs_another(worker: CeleryWorker, task_id: str) -> None:
    """The pool is as good as new: it fills all of its slots once more."""
    for number in range(SLOTS):
        worker.send(f"sleep-1-{task_id}{number}")
    worker.wait_log(*(f"done sleep-1-{task_id}{number}" for number in range(SLOTS)))


def test_as_many_tasks_run_at_once_as_there_are_slots_and_no_more_are_taken(worker: CeleryWorker) -> None:
    ids = [f"hold-0-many-{number}" for number in range(SLOTS + 3)]
    for task_id in ids:
        worker.send(task_id)
    wait_until(lambda: sum(f"run {task_id}" in worker.log for task_id in ids) == SLOTS, "all slots busy")
    assert worker.redis.llen("scrape") == 3  # nothing waits inside the worker, where no scaler sees it
    worker.open("many")
    worker.wait_log(*(f"done {task_id}" for task_id in ids))
    worker.send("peak-1-a")
    wait_until(lambda: worker.count("peak") == 1, "the peak's report")
    assert f"peak {SLOTS}" in worker.log


def test_nothing_is_left_of_a_message_once_it_is_taken(worker: CeleryWorker) -> None:
    worker.send("hold-0-taken-a")
    worker.wait_log("run hold-0-taken-a")
    keys = {str(key) for key in worker.redis.keys("*")}
    worker.open("taken")
    worker.wait_log("done hold-0-taken-a")
    assert {key for key in keys if not key.startswith("_kombu.binding")} == {"log"}


def test_a_monitor_sees_every_step_with_the_tasks_id(worker: CeleryWorker, events: Events) -> None:
    worker.send("sleep-1-seen")
    events.wait("sleep-1-seen", "task-succeeded")
    assert events.of("sleep-1-seen") == ["task-received", "task-started", "task-succeeded"]
    received = events.received("sleep-1-seen")
    assert (received["name"], received["args"]) == ("codeforge.scrape", "['sleep-1-seen']")


def test_a_later_ring_names_its_task_as_root(worker: CeleryWorker, events: Events) -> None:
    worker.push(ring("sleep-1-again", WorkerType.SCRAPE, Priority.NORMAL, 4).body)
    events.wait("sleep-1-again:r4", "task-succeeded")
    assert events.received("sleep-1-again:r4")["root_id"] == "sleep-1-again"
    assert events.of("sleep-1-again") == ["task-started", "task-succeeded"]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("failed", "task-failed"),
        ("dead", "task-failed"),
        ("cancelled", "task-revoked"),
        ("queued", "task-retried"),
        ("running", None),  # in another worker
    ],
)
def test_a_monitor_hears_what_became_of_the_task(
    worker: CeleryWorker, events: Events, word: str, told: str | None
) -> None:
    worker.send(f"{word}-1-told")
    worker.wait_log(f"done {word}-1-told")
    runs_another(worker, f"after{word}")
    events.wait(f"sleep-1-after{word}0", "task-succeeded")
    assert events.of(f"{word}-1-told") == ["task-received", "task-started", *([told] if told else [])]
    assert f"{word}-1-told" not in "".join(line for line in worker.output.splitlines() if "ERROR" in line)


@pytest.mark.parametrize("word", ["raise", "exit"])
def test_a_task_that_raises_fails_and_harms_no_other(worker: CeleryWorker, events: Events, word: str) -> None:
    worker.send(f"sleep-300-beside-{word}")
    worker.send(f"{word}-0-a")
    events.wait(f"{word}-0-a", "task-failed")
    worker.wait_log(f"done sleep-300-beside-{word}")
    worker.wait_output(f"Task codeforge.scrape[{word}-0-a] raised unexpected")
    runs_another(worker, word)


def test_the_soft_limit_cancels_the_coroutine_and_fails_the_task(worker: CeleryWorker, events: Events) -> None:
    worker.push(limited("sleep-600000-soft", soft_s=0.2))
    events.wait("sleep-600000-soft", "task-failed")
    worker.wait_log("cancelled sleep-600000-soft")
    worker.wait_output("Soft time limit (0.2s) exceeded for codeforge.scrape[sleep-600000-soft]")
    worker.wait_output("raised unexpected: SoftTimeLimitExceeded(0.2)")


def test_the_hard_limit_ends_the_task_once_and_frees_its_slot(worker: CeleryWorker, events: Events) -> None:
    worker.push(limited("sleep-600000-hard", hard_s=0.2))
    worker.wait_log("cancelled sleep-600000-hard")
    runs_another(worker, "hard")
    events.wait("sleep-1-hard0", "task-succeeded")
    assert events.of("sleep-600000-hard") == ["task-received", "task-started", "task-failed"]
    worker.wait_output("Hard time limit (0.2s) exceeded for codeforge.scrape[sleep-600000-hard]")


def test_a_task_within_its_limits_is_left_alone(worker: CeleryWorker, events: Events) -> None:
    worker.push(limited("sleep-50-within", soft_s=300, hard_s=600))
    events.wait("sleep-50-within", "task-succeeded")


def test_terminate_cancels_the_coroutine_and_reports_it_as_revoked(
    worker: CeleryWorker, client: Celery, events: Events
) -> None:
    worker.send("sleep-600000-gone")
    events.wait("sleep-600000-gone", "task-started")
    client.control.revoke("sleep-600000-gone", terminate=True)
    worker.wait_log("cancelled sleep-600000-gone")
    runs_another(worker, "gone")
    events.wait("sleep-1-gone0", "task-succeeded")
    assert events.of("sleep-600000-gone") == ["task-received", "task-started", "task-revoked"]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (ring("t1", WorkerType.CODING, Priority.NORMAL).body, "Received unregistered task of type 'codeforge.coding'"),
        ("{", "dropped a message in scrape that is no JSON"),
        (json.dumps(json.loads(limited("t2")) | {"body": "no json"}), "Can't decode message body"),
        (json.dumps(json.loads(limited("t3")) | {"content-type": "application/x-python-serialize"}), "Refusing"),
        (limited("t4").replace('"headers"', '"footers"'), "Received and deleted unknown message"),
        (json.dumps(json.loads(limited("t5")) | {"body": "[[], {}, {}]"}), "Task codeforge.scrape[t5] raised"),
    ],
)
def test_a_message_that_makes_no_sense_is_dropped(worker: CeleryWorker, body: bytes | str, complaint: str) -> None:
    worker.push(body)
    worker.wait_output(complaint)
    runs_another(worker, "after")


def test_messages_are_taken_together_and_one_that_makes_no_sense_costs_no_other(worker: CeleryWorker) -> None:
    worker.redis.config_resetstat()
    ids = [f"hold-0-batch-{number}" for number in range(SLOTS)]  # no slot is free again while they are counted
    bodies = [ring(task_id, WorkerType.SCRAPE, Priority.NORMAL).body for task_id in ids]
    worker.redis.lpush("scrape", *bodies[:2], "{", *bodies[2:])
    worker.wait_log(*(f"run {task_id}" for task_id in ids))
    taken = worker.redis.info("commandstats")
    worker.open("batch")
    worker.wait_log(*(f"done {task_id}" for task_id in ids))
    assert taken["cmdstat_blmpop"]["calls"] < SLOTS
    assert "cmdstat_brpop" not in taken


def test_it_tells_its_numbers_and_refuses_to_change_them(worker: CeleryWorker, client: Celery) -> None:
    (answer,) = client.control.broadcast("stats", reply=True, limit=1, timeout=PATIENCE_S)
    ((_, stats),) = answer.items()
    assert stats["pool"]["max-concurrency"] == SLOTS
    assert stats["pool"]["implementation"] == "codeforge.broker.pool:AsyncioPool"
    assert stats["pool"]["processes"] == [worker.process.pid]
    (answer,) = client.control.pool_grow(1, reply=True, limit=1, timeout=PATIENCE_S)
    ((_, refusal),) = answer.items()
    assert "MAX_CONCURRENT_TASKS" in refusal["error"]
    runs_another(worker, "numbers")
