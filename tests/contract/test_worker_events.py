"""What a worker tells monitors, and what it costs while there are none."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from codeforge.broker.app import make_app
from codeforge.settings import load_settings
from codeforge.worker_types import WorkerType
from tests.contract.monitor import Events
from tests.servers.valkey import ValkeyServer

TOLD = 5


@pytest.fixture
def app(valkey_server: ValkeyServer) -> Iterator[Celery]:
    valkey_server.start()
    valkey_server.flush()
    with make_app(load_settings({"REDIS_URL": valkey_server.url}), (WorkerType.SCRAPE,)) as app:
        yield app


@pytest.fixture
def dispatcher(app: Celery) -> Iterator[Any]:
    with app.connection_for_write() as connection:
        yield app.events.Dispatcher(connection, buffer_group=["task"])


def tell(dispatcher: Any, name: str) -> None:
    for number in range(TOLD):
        dispatcher.send("task-received", uuid=f"{name}{number}")
    dispatcher.flush()


def published(app: Celery) -> int:
    with app.connection_for_read() as connection:
        stats: dict[str, Any] = connection.default_channel.client.info("commandstats")
    return int(stats.get("cmdstat_publish", {}).get("calls", 0))


def test_without_a_monitor_one_event_of_a_group_is_sent(app: Celery, dispatcher: Any) -> None:
    before = published(app)
    tell(dispatcher, "unheard")
    tell(dispatcher, "unheard-again")
    assert published(app) == before + 2


def test_events_that_could_not_be_sent_follow_with_the_times_of_what_they_tell(
    app: Celery, dispatcher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise ConnectionError("no broker")

    with Events(app, wake=lambda: dispatcher.send("worker-heartbeat")) as monitor:
        tell(dispatcher, "heard")
        with monkeypatch.context() as patch:
            patch.setattr(dispatcher.producer, "publish", fails)
            tell(dispatcher, "kept")
        told_by = time.time()
        dispatcher.flush()
        monitor.wait(f"kept{TOLD - 1}", "task-received")
        event = monitor.received("kept0")
    assert event["timestamp"] <= told_by
    assert event["hostname"] == dispatcher.hostname


def test_a_monitor_hears_every_event_from_its_subscription_on(app: Celery, dispatcher: Any) -> None:
    tell(dispatcher, "unheard")
    with Events(app, wake=lambda: dispatcher.send("worker-heartbeat")) as monitor:
        for name in ("first", "second"):
            tell(dispatcher, name)
            for number in range(TOLD):
                monitor.wait(f"{name}{number}", "task-received")
        assert monitor.of("unheard0") == []
    tell(dispatcher, "gone")
    before = published(app)
    tell(dispatcher, "unheard-again")
    assert published(app) == before + 1
