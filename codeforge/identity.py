"""Ids: of tasks UUID version 7 (RFC 9562, section 5.7), which sort by the time they were made; of what a task leaves
behind UUID version 5, always the same for the same."""

import hashlib
import secrets
import time
import uuid
from threading import Lock

NAMESPACE = uuid.UUID("7c1f0d5e-93b4-4a62-8f0e-2b6a5d41c9e7")
"""The project's own UUID namespace. Changing it orphans everything that is stored."""

_SEPARATOR = "\x1f"

_NAMESPACE = NAMESPACE.bytes
_VERSION_5 = 5 << 76 | 2 << 62
_OTHER_BITS = (1 << 128) - 1 - (15 << 76 | 3 << 62)
"""All bits but version and variant (RFC 9562, section 5.5)."""

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
    return _text(value)


def made_at_ms(task_id: str) -> int:
    """When the id was made, in milliseconds since the epoch by its maker's clock. Raises ValueError for no id."""
    return uuid.UUID(task_id).int >> 80


def is_task_id(text: str) -> bool:
    """Whether `text` is spelled as an id is."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def stable_id(*parts: str) -> str:
    """The version 5 UUID (RFC 9562) of the parts, as text.

    The parts' lengths go into the name, so that ("ab", "c") and ("a", "bc") differ whatever they hold.
    """
    lengths = ",".join([str(len(part)) for part in parts])
    name = _SEPARATOR.join((lengths, *parts))
    # As `uuid.uuid5` has it, without an object a row: a result has a dozen ids, which made up a third of its records.
    digest = hashlib.sha1(_NAMESPACE + name.encode(), usedforsecurity=False).digest()
    return _text(int.from_bytes(digest[:16]) & _OTHER_BITS | _VERSION_5)


def _text(number: int) -> str:
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def claim_id(task_id: str, index: int) -> str:
    """The id of a task's claim, counted from 0."""
    return stable_id(task_id, "claim", str(index))
