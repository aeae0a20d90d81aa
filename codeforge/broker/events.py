"""What a worker tells monitors, at the price that it is worth to them."""

from collections.abc import Sequence
from typing import Any

from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher

GROUP = 500
"""Events of tasks that go out in one message at most. Celery's are groups of 24, and the worker waits for each."""

_TASKS = "task.multi"


class ThriftyDispatcher(EventDispatcher):  # type: ignore[misc]  # celery ships no types
    """Celery's dispatcher, which sends no more than the first of each group of tasks' events while nobody hears it.

    The server says with each message how many received it. The rest of a group follows at once when the first was
    heard, so that a monitor misses nothing from its subscription on.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"buffer_limit": GROUP, **kwargs})
        self._heard = False

    def _publish(self, event: Any, producer: Any, routing_key: str, **options: Any) -> None:
        if routing_key != _TASKS or producer is None:
            super()._publish(event, producer, routing_key, **options)
            return
        events: Sequence[Any] = event
        if not self._heard:
            super()._publish(events[:1], producer, routing_key, **options)
            events = events[1:]
            self._heard = producer.channel.receivers > 0
        if self._heard and events:
            super()._publish(events, producer, routing_key, **options)
            self._heard = producer.channel.receivers > 0


class ThriftyEvents(Events):  # type: ignore[misc]  # celery ships no types
    """What an application makes its dispatchers with."""

    dispatcher_cls = "codeforge.broker.events:ThriftyDispatcher"
