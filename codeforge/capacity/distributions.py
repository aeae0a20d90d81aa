"""How long tasks run: `fixed:60`, `uniform:10-120`, `exponential:60`, `lognormal:180,1.0` (mean in seconds, sigma)."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from codeforge.errors import CapacityError

Draw = Callable[[random.Random], float]
SHORTEST_S = 0.01


@dataclass(frozen=True, slots=True)
class Distribution:
    """`draw` gives seconds; `mean_s` is their mean."""

    text: str
    mean_s: float
    draw: Draw


def parse_distribution(text: str) -> Distribution:
    """Raises CapacityError, which shows the forms."""
    kind, _, rest = text.partition(":")
    try:
        numbers = [float(part) for part in rest.replace("-", ",").split(",")]
        if not all(0 <= number < math.inf for number in numbers) or numbers[0] < SHORTEST_S:
            raise ValueError
        match kind, numbers:
            case "fixed", [value]:
                return Distribution(text, value, lambda _: value)
            case "uniform", [low, high] if low <= high:
                return Distribution(text, (low + high) / 2, lambda rng: rng.uniform(low, high))
            case "exponential", [mean]:
                return Distribution(text, mean, lambda rng: max(SHORTEST_S, rng.expovariate(1 / mean)))
            case "lognormal", [mean, sigma]:
                mu = math.log(mean) - sigma**2 / 2
                return Distribution(text, mean, lambda rng: max(SHORTEST_S, rng.lognormvariate(mu, sigma)))
    except ValueError:
        pass
    raise CapacityError(
        f"--duration {text}: expected fixed:60, uniform:10-120, exponential:60 or lognormal:180,1.0 (seconds above 0)"
    )
