"""What a worker knows of its own lease, by its own monotonic clock and without asking."""

import time
from collections.abc import Callable

MARGIN = 0.1
"""Share of the lease that is given up at its end, so that a worker stops before anybody else may begin."""


class Lease:
    """The lease of one worker process.

    It holds for `lease_s` seconds, less the margin, from the sending of the last renewal that was answered: the ledger
    counts from the later moment of its arrival, so this end always comes first, whatever either wall clock says. Read
    and written from several threads; each access is a single one of a float.
    """

    def __init__(self, lease_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._length_s = lease_s * (1 - MARGIN)
        self._clock = clock
        self._until = float("-inf")

    def now(self) -> float:
        """The moment to pass to `renewed`, taken before the renewal is sent."""
        return self._clock()

    def renewed(self, sent_at: float) -> None:
        """A renewal that was sent at `sent_at` was answered."""
        self._until = max(self._until, sent_at + self._length_s)

    @property
    def holds(self) -> bool:
        """Whether the worker may begin something new."""
        return self._clock() < self._until
