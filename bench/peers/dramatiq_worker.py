"""The same with dramatiq. `dramatiq bench.peers.dramatiq_worker`; `python -m bench.peers.dramatiq_worker N` submits."""

import os
import sys
import threading
import uuid
from typing import Any

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

CALLS = int(os.environ["CALLS"])
QUESTION = os.environ["QUESTION"]

broker = RedisBroker(url=os.environ["REDIS"])
dramatiq.set_broker(broker)
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


@dramatiq.actor(max_retries=0, time_limit=3_600_000)
def calls(task_id: str, question: str) -> None:
    """One task."""
    work, counter = shared()
    work.run(task_id, question, CALLS)
    counter.incr("done")


@dramatiq.actor(max_retries=0)
def empty(task_id: str, question: str) -> None:
    """Nothing."""


if __name__ == "__main__":
    actor = calls if CALLS else empty
    for _ in range(int(sys.argv[1])):
        actor.send(str(uuid.uuid4()), QUESTION)
