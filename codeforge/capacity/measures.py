"""What is counted while a pool runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class PoolMeasures:
    """Counts of tasks, seconds of work and pods. `waits` are seconds from submission to the first slot. At any time
    `arrived` is the sum of finished, lost and recovering tasks, of those that wait and those that run."""

    arrived: int = 0
    finished: int = 0
    lost: int = 0
    recovering: int = 0
    handed_back: int = 0
    cut: int = 0
    stopped_busy: int = 0
    repeated_s: float = 0.0
    changes: int = 0
    most_pods: int = 0
    pod_s: float = 0.0
    waits: list[float] = field(default_factory=list)


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The smallest value that so many percent do not exceed; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
