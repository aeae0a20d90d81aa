"""Whether and when a child that died is started again."""

import random
from dataclasses import dataclass, field

STARTS_BEFORE_READY = 3
FIRST_DELAY_S = 0.2
MAX_DELAY_S = 30.0
STEADY_S = 60.0
JITTER = 0.2


@dataclass(slots=True)
class RestartPolicy:
    """One child's history. All times are in seconds.

    A child that was never ready gets three starts in all. One that was ready once is always started again: within a
    second, then twice as late each time, up to `MAX_DELAY_S`; a run of `STEADY_S` or more forgets earlier deaths.
    """

    chooser: random.Random = field(default_factory=random.SystemRandom)
    ready_once: bool = False
    _deaths: int = 0

    def became_ready(self) -> None:
        """The child serves."""
        if not self.ready_once:
            self._deaths = 0
        self.ready_once = True

    def died(self, lived_s: float) -> float | None:
        """The delay before the next start of a child that died after `lived_s`; None when there is to be none."""
        if self.ready_once and lived_s >= STEADY_S:
            self._deaths = 0
        self._deaths += 1
        if not self.ready_once and self._deaths >= STARTS_BEFORE_READY:
            return None
        delay = min(FIRST_DELAY_S * 2.0 ** (self._deaths - 1), MAX_DELAY_S)
        return delay * (1 + self.chooser.uniform(-JITTER, JITTER))
