"""The wire format of the doorbell: what an LPUSH onto a queue's list must carry for a Celery worker to take it.

Celery's message protocol 2 inside kombu's Redis envelope, both as kombu 5.7 publishes them, with one difference: the
body is plain JSON text (`body_encoding` utf-8, which kombu's virtual transports pass through as it is) instead of
base64, so that Lua makes a message by replacing two placeholders. A message says "look at this task" and no more.

Imports neither celery nor kombu: whoever rings needs no broker client.
"""

import json
import re
from dataclasses import dataclass
from functools import cache

from codeforge.worker_types import Priority, WorkerType, queue_name, task_name

CELERY_ID = "@CELERY_ID@"
TASK_ID = "@TASK_ID@"

_SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Ring:
    """One message: LPUSH `body` onto the list `queue`."""

    queue: str
    body: bytes


@dataclass(frozen=True, slots=True)
class RingTemplate:
    """A message of one type and priority with `CELERY_ID` and `TASK_ID` where the ids go. Ids of letters, digits,
    `-`, `_` and `:` need no escaping there."""

    queue: str
    template: str


def ring(task_id: str, worker_type: WorkerType, priority: Priority, ring_number: int = 0) -> Ring:
    """The message that makes a worker look at a task. The first (`ring_number` 0) has the task's id as its Celery
    id, later ones `<task id>:r<number>`; all have the task's as their root id.

    Raises ValueError for an id that holds anything but letters, digits, `-` and `_`.
    """
    if not _SAFE_ID.fullmatch(task_id):
        raise ValueError("a task id holds letters, digits, - and _ only")
    form = ring_template(worker_type, priority)
    message = form.template.replace(CELERY_ID, celery_id(task_id, ring_number)).replace(TASK_ID, task_id)
    return Ring(form.queue, message.encode())


def celery_id(task_id: str, ring_number: int = 0) -> str:
    """The Celery id of a task's message."""
    return f"{task_id}:r{ring_number}" if ring_number else task_id


@cache
def ring_template(worker_type: WorkerType, priority: Priority) -> RingTemplate:
    """The message of a type and priority, for those that fill in the ids themselves (the ledger's Lua scripts)."""
    queue = queue_name(worker_type, priority)
    envelope = {
        "body": json.dumps([[TASK_ID], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": _headers(worker_type),
        "properties": {
            "correlation_id": CELERY_ID,
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,  # a priority is a queue of ours; kombu's own priorities would be lists that nobody watches
            "body_encoding": "utf-8",
            "delivery_tag": CELERY_ID,  # unique for each ring, as the index of unacknowledged messages needs it
        },
    }
    return RingTemplate(queue, json.dumps(envelope, separators=(",", ":")))


def _headers(worker_type: WorkerType) -> dict[str, object]:
    return {
        "lang": "py",
        "task": task_name(worker_type),
        "id": CELERY_ID,
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": TASK_ID,
        "parent_id": None,
        "argsrepr": f"['{TASK_ID}']",
        "kwargsrepr": "{}",
        "origin": "codeforge",
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }
