"""From a message to a coroutine: the way of a ring through a worker.

Celery's own way leads each message through its tracer, which makes contexts, sends signals, asks a result backend, and
runs in a thread, for a task of any kind. A ring is of one kind and has no result, so all of that is left out. What
operators see of it stays: Celery's books (`inspect active`, `stats`), its events, its limits, and `revoke`.
"""

from collections.abc import Callable, Iterable
from typing import Any

from celery.exceptions import InvalidTaskError
from celery.worker.state import task_reserved
from kombu.message import Message

from codeforge.broker.request import LedgerRequest

Handler = Callable[..., None]


def doorbell(task: Any, app: Any, consumer: Any, **_: Any) -> Handler:
    """Celery's `Task.Strategy`: answers what its consumer calls with each message for `task`.

    A message without body and headers of Celery's protocol 2 raises InvalidTaskError, and one that cannot be read what
    kombu raises for it; the consumer then drops it. Times to come (`eta`, `expires`) are the ledger's business and are
    not looked at.
    """
    common = {
        "app": app,
        "task": task,
        "hostname": consumer.hostname,
        "eventer": consumer.event_dispatcher,
        "connection_errors": consumer.connection_errors,
    }

    def on_ring(message: Message, body: object, ack: Any, reject: Any, callbacks: Iterable[Any]) -> None:
        parts = message.payload
        if body is not None or not isinstance(parts, list) or len(parts) != 3:
            raise InvalidTaskError("not a message of Celery's protocol 2")
        request = LedgerRequest(message, on_ack=ack, on_reject=reject, **common)
        if request.revoked():
            return
        request.tell_of_arrival()
        task_reserved(request)
        for callback in callbacks:
            callback(request)
        consumer.on_task_request(request)

    return on_ring
