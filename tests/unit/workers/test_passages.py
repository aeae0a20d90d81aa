"""Finding what bears on a question, and checking quotes."""

import pytest

from workers.passages import PASSAGE_CHARS, pick, plain, quotes, split

FILLER = "Nothing of interest happens in this part of the text at all. " * 10


def test_parts_are_short_and_lose_no_words() -> None:
    text = "\n\n".join([FILLER * 3, "short one", "word " * 400, "x" * 2_000])

    parts = split(text)

    assert all(0 < len(part) <= PASSAGE_CHARS for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_no_text_has_no_parts() -> None:
    assert split(" \n\n ") == []


def test_the_part_that_answers_is_picked() -> None:
    text = "\n\n".join([FILLER, FILLER, "Water boils at 71 degrees on top of Mount Everest.", FILLER])

    picked = pick("At which temperature does water boil on Everest?", {1: text}, 800)

    assert any("71 degrees" in passage.text for passage in picked)


def test_every_source_comes_before_any_comes_twice() -> None:
    rich = "\n\n".join(f"Whales sing songs, verse {n}. {FILLER}" for n in range(5))
    poor = "A page about gardening. " + FILLER

    picked = pick("whales songs", {1: rich, 2: poor}, 1_400)

    assert {passage.source for passage in picked} == {1, 2}


def test_the_budget_holds() -> None:
    picked = pick("interest", dict.fromkeys(range(1, 9), FILLER * 4), 3_000)

    assert sum(len(passage.text) for passage in picked) <= 3_000
    assert picked == sorted(picked, key=lambda passage: (passage.source, passage.at))


@pytest.mark.parametrize(
    "quote",
    [
        "boils at 100 degrees",
        "BOILS   at\n100 degrees",
        "boils at **100** degrees",
        "\u201cboils at 100 degrees\u201d",
        "it\u2019s hot \u2013 very",
        "see the [table](https://other.example/) below",
    ],
)
def test_quotes_are_compared_without_case_blanks_and_marks(quote: str) -> None:
    text = "Water *boils* at 100   degrees; it's hot - very. See the [table](https://a.example/b_c) below."
    assert quotes(quote, plain(text))


@pytest.mark.parametrize("quote", ["boils at 99 degrees", "the", "", '"."', "water boils."])
def test_what_does_not_stand_there_or_proves_nothing_is_no_quote(quote: str) -> None:
    assert not quotes(quote, plain("The water there. The water boils at 100 degrees."[:20]))
