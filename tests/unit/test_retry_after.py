"""How long a server asks to be left alone."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from codeforge.retry_after import LONGEST_S, retry_after_s

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        (" 0 ", 0.0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 11:59:00 GMT", 0.0),
        ("Tue, 24 Nov 2026 12:00:30 -0000", 30.0),
    ],
)
def test_it_is_seconds_or_a_date(value: str, seconds: float) -> None:
    assert retry_after_s(value, NOW) == seconds


def test_without_a_moment_it_counts_from_now() -> None:
    seconds = retry_after_s(format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True))
    assert seconds is not None
    assert 3_500 <= seconds <= 3_601


@pytest.mark.parametrize("value", [None, "", "soon", "-5", "\u00b2", "Sat, 01 Aug 99999999999 10:00:00 GMT"])
def test_without_sense_it_asks_for_nothing(value: str | None) -> None:
    assert retry_after_s(value, NOW) is None


@pytest.mark.parametrize("value", ["9" * 400, "Fri, 31 Dec 9999 23:00:00 GMT"])
def test_it_is_never_longer_than_a_year(value: str) -> None:
    assert retry_after_s(value, NOW) == LONGEST_S
