"""Ids that never change."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from codeforge.records.identity import stable_id

PARTS = st.lists(st.text(), max_size=4)


def test_an_id_is_the_same_in_every_release() -> None:
    # A change here would double everything that installations have stored.
    assert stable_id("document", "acme", "https://example.org/") == "b80ae2b0-d54e-5a33-98d7-4fb32bd6778b"


@given(PARTS, PARTS)
def test_ids_are_equal_exactly_when_their_parts_are(one: list[str], other: list[str]) -> None:
    assert (stable_id(*one) == stable_id(*other)) == (one == other)


def test_parts_that_read_the_same_together_stay_apart() -> None:
    assert stable_id("ab", "c") != stable_id("a", "bc")
    assert stable_id("a\x1fb") != stable_id("a", "b")


@given(PARTS)
def test_an_id_is_a_version_5_uuid(parts: list[str]) -> None:
    assert UUID(stable_id(*parts)).version == 5
