"""A monitor of Celery's events."""

import threading
from collections.abc import Callable
from typing import Any

from celery import Celery

from tests.patience import PATIENCE_S
from tests.servers.celery_worker import wait_until


class Events:
    """What a monitor such as Flower hears, from a listener on."""

    def __init__(self, app: Celery, wake: Callable[[], object] = lambda: None) -> None:
        """`wake` makes somebody send a heartbeat; workers do so by themselves."""
        self._app = app
        self._wake = wake
        self._seen: list[dict[str, Any]] = []
        self._receiver: Any = None
        self._thread = threading.Thread(target=self._listen, name="monitor", daemon=True)

    def __enter__(self) -> "Events":
        self._thread.start()
        wait_until(self._hears, "a heartbeat event")
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.should_stop = True
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def _hears(self) -> bool:
        self._wake()
        return any(event["type"] == "worker-heartbeat" for event in self._seen)

    def of(self, task_id: str) -> list[str]:
        """The events of a task, in order."""
        return [event["type"] for event in list(self._seen) if event.get("uuid") == task_id]

    def received(self, task_id: str) -> dict[str, Any]:
        """Its `task-received` event."""
        return next(e for e in list(self._seen) if e.get("uuid") == task_id and e["type"] == "task-received")

    def wait(self, task_id: str, kind: str) -> None:
        wait_until(lambda: kind in self.of(task_id), f"{kind} of {task_id}")

    def _listen(self) -> None:
        with self._app.connection_for_read() as connection:
            self._receiver = self._app.events.Receiver(connection, handlers={"*": self._seen.append})
            # One capture for all: the next one would subscribe anew, deaf to what was told in between.
            self._receiver.capture(limit=None, timeout=None, wakeup=False)
