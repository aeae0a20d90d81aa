"""Finding quotes: typography may differ, words and numbers may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.quotes import fold, places

TEXT = (
    "# Boiling\n\nWater *boils* at 100\u00a0  degrees; it's hot \u2013 very. See the [table](https://a.example/b_c) "
    "below. It rose by 1,250 metres in 2019, or 3.5% a year, from -12 to 5\u20137 degrees. Caf\u00e9 owners wrote "
    "\u201cwe close\u201d.\n- The \ufb01rst item costs 20 thousand\n- 2*3 apples in snake_case words"
)


def found(quote: str, text: str = TEXT) -> list[str]:
    return [text[start:end] for start, end in places(quote, fold(text))]


@pytest.mark.parametrize(
    ("quote", "stands"),
    [
        ("Water boils at 100 degrees", "Water *boils* at 100\u00a0  degrees"),
        ("water boils at 100 degrees", "Water *boils* at 100\u00a0  degrees"),
        ("boils   at\n100 degrees", "boils* at 100\u00a0  degrees"),
        ("boils at **100** degrees.", "boils* at 100\u00a0  degrees"),
        ("\u201cboils at 100 degrees\u201d", "boils* at 100\u00a0  degrees"),
        ("it\u2019s hot - very", "it's hot \u2013 very"),
        ("See the [table](https://other.example/) below", "See the [table](https://a.example/b_c) below"),
        ("See the table below...", "See the [table](https://a.example/b_c) below"),
        ("by 1,250 metres in 2019", "by 1,250 metres in 2019"),
        ("or 3.5% a year", "or 3.5% a year"),
        ("from \u221212 to 5-7 degrees", "from -12 to 5\u20137 degrees"),
        ("Cafe\u0301 owners wrote", "Caf\u00e9 owners wrote"),
        ("The first item costs 20 thousand", "The \ufb01rst item costs 20 thousand"),
        ("20 thousand 2*3 apples", "20 thousand\n- 2*3 apples"),
        ("apples in snake_case words", "apples in snake_case words"),
    ],
)
def test_a_quote_is_found_whatever_its_typography(quote: str, stands: str) -> None:
    assert found(quote) == [stands]


@pytest.mark.parametrize(
    "quote",
    [
        "boils at 99 degrees",
        "boils at 1000 degrees",
        "boils at degrees",
        "BOILS AT 100 DEGREES",
        "boils at about 100 degrees",
        "It rose by 1",  # of 1,250
        "metres in 2019, or 3",  # of 3.5%
        "metres in 2019, or 3.5",  # of 3.5%
        "250 metres in 2019",  # of 1,250
        "12 to 5-7 degrees",  # of -12
        "-12 to 5",  # of 5-7
        "The first item costs 20",  # of 20 thousand
        "ter boils at 100 degrees",
        "boils at 100 deg",
        "23 apples in snake_case",
        "apples in snakecase words",
        "hot",
        "",
        '"."',
    ],
)
def test_another_word_or_number_or_a_cut_one_is_no_quote(quote: str) -> None:
    assert found(quote) == []


def test_every_place_is_told() -> None:
    assert found("the same words", "The same words, and then the same words.") == ["the same words", "The same words"]


@given(st.text(max_size=80), st.text(max_size=80))
def test_what_is_found_is_the_text_s_own(before: str, after: str) -> None:
    quote = "a sentence of seven words stands here"
    text = f"{before} {quote} {after}"
    assert quote in found(quote, text)


@given(st.text(max_size=200))
def test_folding_keeps_places_in_order_and_within_the_text(text: str) -> None:
    folded = fold(text)
    assert len(folded.text) == len(folded.starts) == len(folded.ends)
    assert folded.starts == sorted(folded.starts)
    assert all(0 <= start < end <= len(text) for start, end in zip(folded.starts, folded.ends, strict=True))
