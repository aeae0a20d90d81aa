"""When a failed attempt is tried again."""

import random

BASE_S = 2.0
CAP_S = 300.0


def retry_delay_s(attempts: int, asked_s: float | None) -> float:
    """Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"); at least what
    the failing service asked for. `attempts` counts from 1."""
    backoff = random.uniform(0, min(CAP_S, BASE_S * 2 ** (attempts - 1)))  # noqa: S311 - no secret
    return max(backoff, min(asked_s or 0.0, CAP_S))
