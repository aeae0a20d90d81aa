"""How a finished step stands in the journal: one byte that names the form, a fingerprint, the value's JSON text.

Form `0` is plain text, `1` is deflated (RFC 1950). The fingerprint is 16 hex digits of the request that the value
answers, or 16 dashes where a step's name says all: it shows when another version of an agent asks something else under
the same name.
"""

import hashlib
import zlib
from dataclasses import dataclass

COMPRESS_OVER = 1_024
LEVEL = 1  # pages and answers shrink to a third at the price of some milliseconds a megabyte
FINGERPRINT_CHARS = 16
NONE = "-" * FINGERPRINT_CHARS

PLAIN, DEFLATED = b"0", b"1"


class JournalError(ValueError):
    """An entry that this version cannot read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A journaled value: its JSON text, and what it answered."""

    text: bytes
    fingerprint: str = NONE


def fingerprint(request: bytes) -> str:
    """Of a request's JSON text."""
    return hashlib.sha256(request).hexdigest()[:FINGERPRINT_CHARS]


def encode(entry: Entry) -> bytes:
    """As the ledger keeps it; large values are deflated."""
    if len(entry.text) <= COMPRESS_OVER:
        return PLAIN + entry.fingerprint.encode() + entry.text
    return DEFLATED + entry.fingerprint.encode() + zlib.compress(entry.text, LEVEL)


def decode(value: bytes, most: int) -> Entry:
    """The reverse. Raises JournalError for what is no entry, or has more than `most` bytes."""
    form, mark, body = value[:1], value[1 : 1 + FINGERPRINT_CHARS], value[1 + FINGERPRINT_CHARS :]
    if len(mark) != FINGERPRINT_CHARS or form not in (PLAIN, DEFLATED):
        raise JournalError("not a journal entry")
    if form == DEFLATED:
        inflater = zlib.decompressobj()
        try:
            body = inflater.decompress(body, most + 1)
        except zlib.error as error:
            raise JournalError("a damaged journal entry") from error
    if len(body) > most:
        raise JournalError("the journal entry is too large")
    return Entry(body, mark.decode("ascii", "replace"))
