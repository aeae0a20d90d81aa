"""The plain way with Celery: a threads pool, a message that holds the whole task, late acknowledgement off.

`celery -A bench.peers.celery_worker worker --pool threads`; `python -m bench.peers.celery_worker N` submits.
"""

import os
import sys
import threading
from typing import Any

import redis
from celery import Celery

CALLS = int(os.environ["CALLS"])
QUESTION = os.environ["QUESTION"]

app = Celery("bench.peers.celery_worker", broker=os.environ["REDIS"])
app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False)
_lock = threading.Lock()
_shared: Any = None


def shared() -> Any:
    """The clients, made by the first task that needs them."""
    global _shared
    with _lock:
        if _shared is None:
            from bench.peers.work import ThreadedWork

            _shared = ThreadedWork(), redis.Redis.from_url(os.environ["REDIS"], max_connections=10_000)
        return _shared


@app.task(name="bench.calls", bind=True)
def calls(self, question: str) -> None:  # type: ignore[no-untyped-def]
    """One task."""
    work, counter = shared()
    work.run(self.request.id, question, CALLS)
    counter.incr("done")


@app.task(name="bench.empty")
def empty(question: str) -> None:
    """Nothing."""


if __name__ == "__main__":
    task = calls if CALLS else empty
    for _ in range(int(sys.argv[1])):
        task.apply_async((QUESTION,))
