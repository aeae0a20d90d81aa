"""The doorbell's bytes against kombu, Celery's own pools and a real Valkey."""

import json
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from kombu.transport import virtual

from codeforge.broker.app import make_app
from codeforge.broker.message import ring, ring_template
from codeforge.broker.transport import RingMessage
from codeforge.settings import load_settings
from codeforge.worker_types import Priority, WorkerType
from tests.servers.celery_worker import CeleryWorker
from tests.servers.valkey import ValkeyServer

LUA_RING = """
local body = string.gsub(ARGV[1], '@CELERY_ID@', ARGV[2])
body = string.gsub(body, '@TASK_ID@', ARGV[3])
redis.call('LPUSH', KEYS[1], body)
"""


def shape(value: Any) -> Any:
    """An object's fields, at every level."""
    return {key: shape(part) for key, part in value.items()} if isinstance(value, dict) else None


def published(app: Celery, address: str) -> dict[str, Any]:
    """What kombu itself writes for the same task."""
    with app.connection_for_write() as connection:
        app.send_task("codeforge.scrape", args=["t1"], task_id="t1", queue="scrape", connection=connection)
    with redis.Redis.from_url(address) as client:
        (message,) = client.lrange("scrape", 0, -1)
        envelope: dict[str, Any] = json.loads(message)
        return envelope


def test_it_has_the_fields_of_what_kombu_publishes(valkey: ValkeyServer) -> None:
    app = make_app(load_settings({"REDIS_URL": valkey.url}), (WorkerType.SCRAPE,))
    theirs = published(app, valkey.url)
    ours = json.loads(ring("t1", WorkerType.SCRAPE, Priority.NORMAL).body)
    assert shape(ours) == shape(theirs)
    own_ways = {"origin": "codeforge", "ignore_result": True}
    assert ours["headers"] == theirs["headers"] | own_ways
    assert ours["properties"]["delivery_info"] == theirs["properties"]["delivery_info"]


def test_a_message_is_read_as_kombu_reads_it(valkey: ValkeyServer) -> None:
    app = make_app(load_settings({"REDIS_URL": valkey.url}), (WorkerType.SCRAPE,))
    ours = json.loads(ring("t1", WorkerType.SCRAPE, Priority.NORMAL).body)
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        for envelope in (ours, published(app, valkey.url)):
            own, theirs = RingMessage(envelope, channel=channel), virtual.Message(envelope, channel=channel)  # type: ignore[no-untyped-call]  # kombu is typed in part
            theirs.accept = own.accept = {"application/json"}
            assert own.payload == theirs.payload
            assert _fields(own) == _fields(theirs)


def _fields(message: virtual.Message) -> dict[str, Any]:
    """Of a message, all that its class and kombu's have; a body is text or its bytes."""
    slots = {name for kind in type(message).__mro__ for name in getattr(kind, "__slots__", ())} - {"__dict__"}
    fields = {name: getattr(message, name) for name in slots} | vars(message)
    return fields | {"body": fields["body"].decode() if isinstance(fields["body"], bytes) else fields["body"]}


def test_rings_that_nobody_consumes_any_more_go_back_as_they_were(valkey: ValkeyServer) -> None:
    app = make_app(load_settings({"REDIS_URL": valkey.url}), (WorkerType.SCRAPE,))
    first, second, third = (ring(f"t{n}", WorkerType.SCRAPE, Priority.NORMAL).body for n in range(3))
    with app.connection_for_read() as connection, redis.Redis.from_url(valkey.url) as client:
        client.lpush("scrape", third)
        connection.default_channel._hand_on([first, second], "scrape")
        assert client.lrange("scrape", 0, -1) == [third, second, first]


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_a_stock_worker_takes_it(valkey: ValkeyServer, tmp_path: Path, pool: str) -> None:
    worker = CeleryWorker(valkey, tmp_path, "tests.contract.apps.stock_app", "--pool", pool, "--concurrency", "1")
    try:
        worker.send("first-1")
        form = ring_template(WorkerType.SCRAPE, Priority.NORMAL)
        worker.redis.eval(LUA_RING, 1, form.queue, form.template, "first-1:r3", "first-1")
        worker.wait_log("run first-1 first-1 first-1", "run first-1 first-1:r3 first-1")
        assert worker.redis.llen("scrape") == 0
    finally:
        worker.close()
