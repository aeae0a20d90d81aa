"""Task ids: UUID version 7 (RFC 9562, section 5.7), which sort by the time they were made."""

import secrets
import time
import uuid
from threading import Lock

_lock = Lock()
_last = 0


def new_task_id() -> str:
    """A new id, greater than every one that this process made before."""
    global _last
    with _lock:
        # 48 bits of milliseconds and 12 bits of sub-millisecond time (RFC 9562, section 6.2, method 3).
        ticks = max(time.time_ns() * 4096 // 1_000_000, _last + 1)
        _last = ticks
    milliseconds, fraction = divmod(ticks, 4096)
    value = milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))


def made_at_ms(task_id: str) -> int:
    """When the id was made, in milliseconds since the epoch by its maker's clock. Raises ValueError for no id."""
    return uuid.UUID(task_id).int >> 80


def is_task_id(text: str) -> bool:
    """Whether `text` is spelled as an id is."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
