"""What a worker tells monitors, at the price that it is worth to them."""

import time
from collections.abc import Sequence
from typing import Any

from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher
from celery.events.event import Event
from celery.utils.time import utcoffset

GROUP = 500
"""Events of tasks that go out in one message at most. Celery's are groups of 24, and the worker waits for each."""

MOST_UNHEARD = 10 * GROUP
"""Events that are kept at most until it is time to ask again whether somebody hears them."""

_TASK = "task"
_TASKS = "task.multi"


class ThriftyDispatcher(EventDispatcher):  # type: ignore[misc]  # celery ships no types
    """Celery's dispatcher, which sends no more than the first of each group of tasks' events while nobody hears it.

    The server says with each message how many received it. The rest of a group follows at once when the first was
    heard, so that a monitor misses nothing from its subscription on. Until then an event is its name, time and fields:
    it is made when it is sent.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._heard = False

    def send(self, type: str, blind: bool = False, **fields: Any) -> Any:
        """See `EventDispatcher.send`."""
        if not type.startswith("task-") or _TASK not in self.buffer_group:
            return super().send(type, blind, **fields)
        if not self.enabled or (self.groups and _TASK not in self.groups):
            return None
        waiting = self._group_buffer[_TASK]
        waiting.append((type, time.time(), fields))
        if len(waiting) >= (GROUP if self._heard else MOST_UNHEARD):
            self.flush()
        elif self.on_send_buffered:
            self.on_send_buffered()
        return None

    def _publish(self, event: Any, producer: Any, routing_key: str, **options: Any) -> None:
        if routing_key != _TASKS or producer is None:
            super()._publish(event, producer, routing_key, **options)
            return
        events: Sequence[Any] = event
        if not self._heard:
            super()._publish(self._made(events[:1]), producer, routing_key, **options)
            events = events[1:]
            self._heard = producer.channel.receivers > 0
        while self._heard and events:
            super()._publish(self._made(events[:GROUP]), producer, routing_key, **options)
            events = events[GROUP:]
            self._heard = producer.channel.receivers > 0

    def _made(self, events: Sequence[Any]) -> list[Any]:
        """As monitors take them. Those that could not be sent before were made then."""
        origin = {"hostname": self.hostname, "utcoffset": utcoffset(), "pid": self.pid}
        return [
            each
            if isinstance(each, dict)
            else Event(each[0], timestamp=each[1], clock=self.clock.forward(), **origin, **each[2])
            for each in events
        ]


class ThriftyEvents(Events):  # type: ignore[misc]  # celery ships no types
    """What an application makes its dispatchers with."""

    dispatcher_cls = "codeforge.broker.events:ThriftyDispatcher"
