"""The Retry-After header (RFC 9110, 10.2.3), as any server may send it: what it says is never trusted to make sense."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_S = 365 * 86_400.0
"""Whoever asks for more says nothing more by it."""


def retry_after_s(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait from `now`, from 0 to LONGEST_S; None for no value or one that is neither seconds nor a date.
    Never raises."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_S)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return min(max(0.0, (when - (now or datetime.now(UTC))).total_seconds()), LONGEST_S)
