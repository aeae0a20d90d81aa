"""When a failed attempt is tried again."""

import random

from codeforge.worker_types import SPECS, WorkerType


def retry_delay_s(worker_type: WorkerType, attempts: int, asked_s: float | None) -> float:
    """Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter") within the type's
    limits; at least what the failing service asked for, within the same cap. `attempts` counts from 1."""
    spec = SPECS[worker_type]
    most = min(spec.retry_cap_s, spec.retry_base_s * 2 ** min(attempts - 1, 32))
    backoff = random.uniform(0, most)  # noqa: S311 - no secret
    return max(backoff, min(asked_s or 0.0, spec.retry_cap_s))
