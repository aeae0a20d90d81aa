"""Times by `time.monotonic()` after which something is of no use; infinity is none."""

import math
import time


def left_s(deadline: float) -> float | None:
    """Seconds until then, at least 0; None for no deadline, which is what `asyncio.timeout` takes for it."""
    return None if math.isinf(deadline) else max(0.0, deadline - time.monotonic())
