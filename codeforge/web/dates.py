"""Days in the forms that pages have them in."""

import re
from datetime import date
from email.utils import parsedate
from typing import Final

MAX_CHARS: Final = 100
_ISO: Final = re.compile(r"(\d{4})([-/.]?)(\d{2})\2(\d{2})(?:[t ].*)?", re.DOTALL)
_NAMED: Final = re.compile(
    r"(?:[a-z]{3,10}\.?,?\s+)?"  # the day of the week
    r"(?:(\d{1,2})(?:st|nd|rd|th|\.)?\s+(?:of\s+)?([a-zä]{3,9})|([a-zä]{3,9})\.?\s+(\d{1,2})(?:st|nd|rd|th)?)"
    r"[,.]{0,2}\s+(\d{4})\b.*",
    re.DOTALL,
)
_MONTHS: Final = {
    name: month
    for month, names in enumerate(
        (
            "jan january januar", "feb february februar", "mar march märz", "apr april", "may mai", "jun june juni",
            "jul july juli", "aug august", "sep sept september", "oct october okt oktober", "nov november",
            "dec december dez dezember",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip


def day_of(text: str) -> str:
    """As YYYY-MM-DD; "" for what is no day. Reads ISO 8601, RFC 5322, and days with English or German months; not
    `03/04/2025`, which is a day in April or in March."""
    text = " ".join(text[:MAX_CHARS].split()).casefold()
    if match := _ISO.fullmatch(text):
        return _day(match[1], match[3], match[4])
    if match := _NAMED.fullmatch(text):
        month = _MONTHS.get(match[2] or match[3], 0)
        return _day(match[5], month, match[1] or match[4])
    parts = parsedate(text) if "," in text else None
    return _day(*parts[:3]) if parts else ""


def _day(year: str | int, month: str | int, day: str | int) -> str:
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return ""
