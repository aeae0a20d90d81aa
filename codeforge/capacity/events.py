"""The clock of the simulation: what is due happens in order of time, and in order of planning at the same time."""

import heapq
from collections.abc import Callable
from itertools import count

Action = Callable[[], None]


class EventLoop:
    """A heap of planned actions. Cancelling is the actor's own business: it looks whether it still applies."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._due: list[tuple[float, int, Action]] = []
        self._numbers = count()

    def at(self, moment_s: float, action: Action) -> None:
        """Plans an action. One that is planned for the past happens now."""
        heapq.heappush(self._due, (max(moment_s, self.now_s), next(self._numbers), action))

    def after(self, delay_s: float, action: Action) -> None:
        """Plans an action `delay_s` seconds from now."""
        self.at(self.now_s + delay_s, action)

    def every(self, period_s: float, first_s: float, action: Action) -> None:
        """Repeats an action for as long as the simulation runs."""

        def again() -> None:
            self.after(period_s, again)
            action()

        self.at(first_s, again)

    def run_until(self, end_s: float) -> None:
        """Runs everything that is due before `end_s`, then sets the clock to it."""
        while self._due and self._due[0][0] < end_s:
            self.now_s, _, action = heapq.heappop(self._due)
            action()
        self.now_s = end_s
