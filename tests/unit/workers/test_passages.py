"""Finding what bears on a question."""

from workers.passages import MAX_BY_MEANING, PASSAGE_CHARS, Passage, by_meaning, by_words, joined, pick, sample, split

FILLER = "Nothing of interest happens in this part of the text at all. " * 10


def parts_of(*texts: str) -> list[Passage]:
    return [part for number, text in enumerate(texts, 1) for part in split(number, text)]


def picked(question: str, budget: int, *texts: str) -> list[Passage]:
    parts = parts_of(*texts)
    return pick(parts, [by_words(question, parts)], budget)


def test_parts_are_short_lose_no_words_and_know_their_places() -> None:
    text = "\n\n".join(["", FILLER * 3, "short one", "word " * 400, "x" * 2_000, " "])

    parts = split(7, text)

    assert all(0 < len(part.text) <= PASSAGE_CHARS and part.source == 7 for part in parts)
    assert "".join("".join(part.text for part in parts).split()) == "".join(text.split())
    assert all(text[part.start : part.end] == part.text for part in parts)


def test_no_text_has_no_parts() -> None:
    assert split(1, " \n\n ") == []


def test_the_part_that_answers_is_picked_by_its_words() -> None:
    text = "\n\n".join([FILLER, FILLER, "Water boils at 71 degrees on top of Mount Everest.", FILLER])

    found = picked("At which temperature does water boil on Everest?", 800, text)

    assert any("71 degrees" in passage.text for passage in found)


def test_a_part_that_shares_no_word_is_picked_by_its_meaning() -> None:
    parts = parts_of("\n\n".join([FILLER, "A puncture is mended at the roadside.", FILLER]))
    vectors = [[1.0, 0.0] if "puncture" in part.text else [0.0, 1.0] for part in parts]
    question = "How do I fix my two-wheeler?"

    found = pick(parts, [by_words(question, parts), by_meaning([1.0, 0.0], vectors)], 700)

    assert any("puncture" in passage.text for passage in found)


def test_every_source_comes_before_any_comes_twice() -> None:
    rich = "\n\n".join(f"Whales sing songs, verse {n}. {FILLER}" for n in range(5))
    poor = "A page about gardening. " + FILLER

    assert {passage.source for passage in picked("whales songs", 1_400, rich, poor)} == {1, 2}


def test_the_budget_holds() -> None:
    found = picked("interest", 3_000, *[FILLER * 4] * 8)

    assert sum(len(passage.text) for passage in found) <= 3_000
    assert found == sorted(found, key=lambda passage: (passage.source, passage.start))


def test_neighbours_are_one_passage() -> None:
    text = "One.\n\nTwo.\n\nThree. Four."
    one, two, four = Passage(1, 0, "One."), Passage(1, 6, "Two."), Passage(1, 19, "Four.")

    assert joined([four, two, one], {1: text}) == [Passage(1, 0, "One.\n\nTwo."), four]


def test_of_very_many_passages_the_best_by_words_and_the_first_of_each_source_are_looked_at() -> None:
    parts = [Passage(source, at * 700, f"text {at}") for source in (1, 2) for at in range(1_000)]

    kept = sample(parts, [[1_999, 1_998]])

    assert len(kept) == MAX_BY_MEANING
    assert {0, 1_000, 1_998, 1_999} <= set(kept)
    assert kept == sorted(kept)
