"""The journal's format: what was put in comes out, and nothing else is taken for an entry."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeforge.execution.journal import Entry, JournalError, decode, encode, fingerprint

MOST = 100_000


@given(text=st.binary(max_size=5_000), request=st.binary(max_size=50))
def test_what_was_put_in_comes_out(text: bytes, request: bytes) -> None:
    entry = Entry(text, fingerprint(request))
    assert decode(encode(entry), MOST) == entry


def test_large_values_are_deflated() -> None:
    assert len(encode(Entry(b"word " * 10_000))) < 5_000


@pytest.mark.parametrize(
    "value",
    [b"", b'{"of":"another format"}', b"0short", b"1" + b"-" * 16 + b"not deflated"],
    ids=["empty", "json", "short", "damaged"],
)
def test_anything_else_is_refused(value: bytes) -> None:
    with pytest.raises(JournalError):
        decode(value, MOST)


def test_bomb_is_not_inflated() -> None:
    bomb = b"1" + b"-" * 16 + zlib.compress(b"0" * 50_000_000)
    with pytest.raises(JournalError, match="too large"):
        decode(bomb, MOST)
