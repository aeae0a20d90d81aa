"""The Celery application of a worker process, configured for a broker that is a doorbell.

A message only says "look at this task"; the ledger decides everything. So the broker is used in its simplest form:
JSON, no result backend, queues without exchanges, and a message is gone once it is taken. Nothing is lost by that, for
the reaper rings again; and none of the redeliveries of Celery on Redis can happen to a task that runs.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from celery import Celery, signals
from kombu.entity import Exchange, Queue

from codeforge.broker.events import ThriftyEvents
from codeforge.broker.queue_order import QUEUE_ORDER
from codeforge.broker.transport import DoorbellAMQP
from codeforge.sentinel import is_sentinel, parse_sentinel
from codeforge.settings import Settings
from codeforge.worker_types import Priority, WorkerType, queue_name

App: TypeAlias = Celery
"""What `make_app` returns, for those that do not import celery."""

SENTINEL_TIMEOUT_S = 1.0
"""Short: the next Sentinel is asked when one does not answer."""


def make_app(settings: Settings, served: Sequence[WorkerType]) -> App:
    """An application that consumes the queues of the `served` types and knows no task yet (`tasks.register`).

    `celery -A <module> worker` needs no further option: pool, concurrency, prefetch, events, and no gossip and no
    mingle are settings here. Command line options still win.
    """
    address, sentinel, tls = _broker(settings.redis_address)
    app = Celery("codeforge", broker=address, amqp=DoorbellAMQP, events=ThriftyEvents, set_as_current=False)
    app.conf.update(
        _messages(served),
        **_worker(settings),
        broker_transport_options=_transport(sentinel),
        broker_use_ssl=tls or None,
        broker_connection_retry_on_startup=True,
        # Concerns late acknowledgement only, which is off; anything but True logs a deprecation at each reconnect.
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_enable_prefetch_count_reduction=False,
    )
    return app


def use_logging(configure: Callable[[], None]) -> None:
    """Has a worker call `configure` instead of setting up logs of Celery's own; `--loglevel` is then without effect."""

    def on_setup_logging(**_: Any) -> None:
        configure()

    signals.setup_logging.connect(on_setup_logging, weak=False)


def queues(served: Sequence[WorkerType]) -> tuple[Queue, ...]:
    """Three queues a type, all `high` ones first. The empty exchange delivers by the queue's name, without a binding
    that could be missing; nothing is acknowledged, so nothing is kept until it is."""
    names = [queue_name(worker_type, priority) for priority in Priority for worker_type in served]
    direct = Exchange("", type="direct")  # type: ignore[no-untyped-call]  # kombu is typed in part
    return tuple(
        Queue(name, direct, routing_key=name, no_ack=True)  # type: ignore[no-untyped-call]  # kombu's types cover a part of it
        for name in names
    )


def _messages(served: Sequence[WorkerType]) -> dict[str, Any]:
    first = queue_name(served[0])
    return {
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
        "result_backend": None,
        "task_ignore_result": True,
        "task_acks_late": False,
        "task_queues": queues(served),
        "task_create_missing_queues": False,
        "task_default_queue": first,
        "task_default_exchange": "",
        "task_default_routing_key": first,
        "enable_utc": True,
        "timezone": "UTC",
    }


def _worker(settings: Settings) -> dict[str, Any]:
    return {
        "worker_pool": "codeforge.broker.pool:AsyncioPool",
        "worker_consumer": "codeforge.broker.consumer:QuietConsumer",
        "worker_concurrency": settings.max_concurrent_tasks,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,  # a message that waits in a busy worker is one that KEDA does not see
        "worker_send_task_events": True,  # for Flower
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }


def _transport(sentinel: dict[str, Any]) -> dict[str, Any]:
    return {
        "queue_order_strategy": QUEUE_ORDER,
        "priority_steps": [0],  # our priorities are queues of their own; kombu's would add three lists to each
        # Keeping unacknowledged messages in Redis costs two round trips a task, and gives them back by rules that know
        # nothing of the ledger: after a timeout, or at a reconnect while their tasks run. The reaper rings instead.
        "ack_emulation": False,
        "health_check_interval": 10,
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        **sentinel,
    }


def _broker(address: str) -> tuple[str, dict[str, Any], dict[str, str]]:
    """The URL for kombu, its transport options for Sentinel, and those of TLS there; `rediss://` says it itself."""
    if not is_sentinel(address):
        return address, {}, {}
    sentinel = parse_sentinel(address)
    asking = {
        "socket_timeout": SENTINEL_TIMEOUT_S,
        "socket_connect_timeout": SENTINEL_TIMEOUT_S,
        "retry": None,  # the client's own would try a dead Sentinel for ten seconds before it asks the next
        **sentinel.sentinel_login,
        "ssl": sentinel.tls,
        **sentinel.tls_options,
    }
    options = {"master_name": sentinel.master_name, "sentinel_kwargs": asking}
    return sentinel.kombu_url, options, sentinel.tls_options
