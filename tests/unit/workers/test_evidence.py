"""Whether a span bears a statement out."""

import pytest

from workers.evidence import Evidence, SourceText
from workers.passages import Passage
from workers.sentences import names, numbers, sentences

TOWER = (
    "The Eiffel Tower is 330 metres tall. It was built by Gustave Eiffel in 1889. About 5.9 million people visit it "
    "each year. It is a myth that the tower sways by two metres in the wind. The lift does not run at night."
)
OTHER = "The Tokyo Tower is 333 metres tall, which Dr. Naito planned. It opened in 1958."


def evidence() -> Evidence:
    sources = {1: SourceText("The Eiffel Tower", TOWER), 2: SourceText("Towers of Japan", OTHER)}
    return Evidence(sources, [Passage(1, 0, TOWER), Passage(2, 0, OTHER)])


@pytest.mark.parametrize(
    ("statement", "source", "quote", "stands_in"),
    [
        ("The Eiffel Tower is 330 metres tall.", 1, "The Eiffel Tower is 330 metres tall", 1),
        ("It is 330 metres tall.", 1, "Eiffel Tower is 330 metres tall.", 1),
        ("Gustave Eiffel built it in 1889.", 1, "It was built by Gustave Eiffel in 1889", 1),
        ("The Eiffel Tower was built by Gustave Eiffel.", 1, "built by Gustave Eiffel in 1889", 1),
        ("Each year 5.9 million people visit the Eiffel Tower.", 1, "5.9 million people visit it each year", 1),
        ("It is false that the tower sways by 2 metres.", 1, "the tower sways by two metres in the wind", 1),
        ("The lift does not run at night.", 1, "The lift does not run at night", 1),
        ("The Tokyo Tower is 333 metres tall.", 1, "Tokyo Tower is 333 metres tall", 2),
        ("The Tokyo Tower opened in 1958.", 2, "It opened in 1958.", 2),
    ],
)
def test_a_statement_that_its_quote_bears_out_is_found(statement: str, source: int, quote: str, stands_in: int) -> None:
    found, reason = evidence().find(statement, source, quote)
    assert reason == ""
    assert found is not None
    assert found.source == stands_in
    assert {1: TOWER, 2: OTHER}[stands_in][found.start : found.end] == found.text


def test_of_a_sentence_that_goes_on_beyond_its_passage_only_the_shown_part_is_cited() -> None:
    shown = Passage(1, 10, TOWER[10:60])
    known = Evidence({1: SourceText("The Eiffel Tower", TOWER)}, [shown])
    quoted = known.place(1, "It was built by")
    assert quoted is not None
    assert known.sentence(quoted).text == "It was built by Gustave Eiffel in 1889."
    cited = known.shown_sentence(quoted)
    assert (cited.text, cited.end) == ("It was built by Gustave", shown.end)
    assert TOWER[cited.start : cited.end] == cited.text


@pytest.mark.parametrize(
    ("statement", "quote", "reason"),
    [
        ("The Eiffel Tower is 350 metres tall.", "The Eiffel Tower is 330 metres tall", "the number 350"),
        ("The Eiffel Tower is 350 metres tall.", "The Eiffel Tower is 350 metres tall", "stands in no source"),
        ("The Eiffel Tower is 33 metres tall.", "The Eiffel Tower is 33", "stands in no source"),
        ("About 5.9 people visit it.", "5.9 million people visit it", "the number 5.9"),
        ("About 5.9 people visit it.", "Eiffel in 1889. About 5.9", "stands in no source"),
        ("The Eiffel Tower is 333 metres tall.", "Tower is 333 metres tall", "speak of eiffel"),
        ("Gustave Courbet built it in 1889.", "It was built by Gustave Eiffel in 1889", "speak of courbet"),
        ("The tower sways by two metres.", "the tower sways by two metres in the wind", "negated"),
        ("The lift runs at night.", "The lift does not run at night", "negated"),
        ("The Eiffel Tower is not 330 metres tall.", "The Eiffel Tower is 330 metres tall", "negated"),
        ("Ticket prices doubled during summer.", "The lift does not run at night", "negated"),
        ("Ticket prices doubled during summer.", "people visit it each year", "something else"),
        ("The Eiffel Tower is tall.", "tall", "stands in no source"),
        ("The Eiffel Tower is tall.", "", "stands in no source"),
    ],
)
def test_a_falsehood_is_not_borne_out_by_a_true_quote(statement: str, quote: str, reason: str) -> None:
    found, why = evidence().find(statement, 1, quote)
    assert found is None
    assert reason in why


def test_what_the_model_was_not_shown_counts_for_nothing() -> None:
    shown = Evidence({1: SourceText("", TOWER)}, [Passage(1, 0, TOWER[:36])])
    assert shown.find("It was built in 1889.", 1, "It was built by Gustave Eiffel in 1889")[0] is None


def test_sentences_end_at_their_marks_and_at_new_blocks() -> None:
    text = "# A head\n\nDr. No came. It was 3.5 m! \u201cGood?\u201d he said\n- one\n- two. Three"
    assert sentences(text) == [
        "# A head", "Dr. No came.", "It was 3.5 m!", "\u201cGood?\u201d", "he said", "- one", "- two.", "Three",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,250 and 1 250.5 and 3.5%", {"1250", "3.5%"} | {"1", "250.5"}),
        ("5 million, 5 per cent, 5 per year", {"5million", "5%", "5"}),
        ("the 19th of May, two of ten", {"19", "2", "10"}),
        ("A380 and H2O", set()),
        ("-12 degrees", {"-12"}),
        ("20 May 2019", {"20", "2019"}),
    ],
)
def test_numbers_have_one_spelling(text: str, found: set[str]) -> None:
    assert set(numbers(text)) == found


def test_names_are_capitalised_inside_a_sentence() -> None:
    assert names("Water boils on Mount Everest. NASA says so. Paris France is far. The end.") == {
        "mount", "everest", "nasa", "paris", "france",
    }  # fmt: skip
