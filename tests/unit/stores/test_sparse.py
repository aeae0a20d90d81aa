"""Words as sparse vectors."""

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeforge.stores.sparse import AVERAGE_LENGTH, K1, B, SparseVector, document_vector, presence_vector, words


def dot(one: SparseVector, other: SparseVector) -> float:
    weights = dict(zip(other.indices, other.values, strict=True))
    return sum(value * weights.get(index, 0.0) for index, value in zip(one.indices, one.values, strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Knead the flour, and WATER!", ["knead", "flour", "water"]),
        ("Straße \uff21\uff22\uff23 \ufb01ne", ["strasse", "abc", "fine"]),
        ("Ελλάδα москва", ["ελλάδα", "москва"]),
        ("東京都", ["東京", "京都"]),
        ("Python入門 第3版", ["python", "入門", "第", "3", "版"]),
        ("don't what's isn't", []),
        ("snake_case x1 3.14", ["snake_case", "x1", "3", "14"]),
        ("", []),
        ("?! \u0000 — \U0001f600", []),
    ],
)
def test_words_of_many_scripts(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_the_weight_of_a_word_is_bm25s() -> None:
    # Given three words, one of them twice
    vector = document_vector("solar panel panel grid")
    norm = K1 * (1 - B + B * 4 / AVERAGE_LENGTH)
    # Then each has its saturated frequency
    assert sorted(vector.values) == pytest.approx(
        sorted([1 * (K1 + 1) / (1 + norm), 2 * (K1 + 1) / (2 + norm), 1 * (K1 + 1) / (1 + norm)])
    )


def test_repetition_saturates_and_length_costs() -> None:
    query = presence_vector("solar")
    one, ten, thousand = (dot(query, document_vector("solar " * count)) for count in (1, 10, 1_000))
    assert one < ten < K1 + 1
    assert thousand < K1 + 1
    assert dot(query, document_vector("solar " + "filler " * 500)) < one


def test_a_query_weighs_each_of_its_words_alike() -> None:
    assert presence_vector("grid solar solar").values == [1.0, 1.0]
    assert sum(presence_vector("a grid of solar panels", 1 / 3).values) == pytest.approx(1.0)


def test_case_and_form_make_no_difference() -> None:
    assert document_vector("CAFÉ Solar") == document_vector("cafe\u0301 solar")


def test_the_vector_is_the_same_in_every_process() -> None:
    code = "from codeforge.stores.sparse import document_vector as v; print(v('Solar größe 東京'))"
    argv = [sys.executable, "-c", code]
    fresh = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
    assert fresh.strip() == str(document_vector("Solar größe 東京"))


@given(st.text(max_size=300))
def test_any_text_makes_a_valid_vector(text: str) -> None:
    vector = document_vector(text)
    assert vector.indices == sorted(set(vector.indices)) == presence_vector(text).indices
    assert len(vector.indices) == len(vector.values)
    assert all(0 <= index < 2**32 for index in vector.indices)
    assert all(math.isfinite(value) and value > 0 for value in vector.values)
