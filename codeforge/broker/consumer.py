"""Celery's consumer without the talk between workers, and with events that go out in groups."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from celery.worker.consumer import Consumer

EVENTS_PAUSE_S = 0.2
"""How long the events of tasks are gathered. They carry the times at which things happened."""


def _nothing(*_: Any, **__: Any) -> None:
    """Takes the place of an acknowledgement."""


def _no_promise(*_: Any, **__: Any) -> Callable[..., None]:
    return _nothing


class QuietConsumer(Consumer):  # type: ignore[misc]  # celery ships no types
    """No gossip and no mingle: workers share nothing but the ledger, and with hundreds of them each would hear every
    other one's events and wait for all at its start. Celery has command line flags for both, but no settings.

    Celery publishes what it buffered of events with every turn of its loop, in a round trip that the loop waits for:
    that was a third of a busy worker's processor time.
    """

    _next_flush = 0.0

    def __init__(self, *args: Any, worker_options: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        options = {**(worker_options or {}), "without_gossip": True, "without_mingle": True}
        super().__init__(*args, worker_options=options, **kwargs)

    def create_task_handler(self, promise: Callable[..., Any] = _no_promise) -> Callable[..., None]:
        """Of acknowledgements Celery would make two promises a message; here a message is gone once it is taken."""
        handler: Callable[..., None] = super().create_task_handler(promise)
        return handler

    def on_send_event_buffered(self) -> None:
        """Has the buffered events sent soon; they go at once when there are 24 (Celery's limit)."""
        now = time.monotonic()
        if self.hub and now >= self._next_flush:  # a time and no flag: a timer that a reconnect dropped is made again
            self._next_flush = now + EVENTS_PAUSE_S
            self.hub.call_later(EVENTS_PAUSE_S, self._flush_events)

    def shutdown(self) -> None:
        """The pool has drained: how its last tasks ended is told before the connections close."""
        self._flush_events()
        super().shutdown()
