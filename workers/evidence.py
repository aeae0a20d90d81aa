"""Whether a span of a source bears a statement out, as far as that shows without understanding: the quote must stand
there, and numbers, names and negations must agree. A statement that passes may still say something else than its
source; that is for a reader, or a second look by a model."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from workers.passages import Passage
from workers.quotes import FoldedText, fold, places
from workers.sentences import denies, names, numbers, sentence_around, sentences, stands_for_another, stems, words_of

SHARED_WORDS = 1 / 3
"""Of a statement's words, so many must be in the sentence that it cites, or right before it."""


@dataclass(frozen=True, slots=True)
class Found:
    """A place in a source's text that bears a statement out; `text` is what stands there."""

    source: int
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class SourceText:
    """All text of a source, and its title."""

    title: str
    text: str


class Evidence:
    """The sources of one report: the whole texts, and of them the passages that the model was shown. A quote from
    anywhere else was not read, and counts for nothing."""

    def __init__(self, sources: Mapping[int, SourceText], passages: Iterable[Passage]) -> None:
        self._sources = sources
        self._shown: dict[int, list[tuple[Passage, FoldedText]]] = {}
        for passage in passages:
            self._shown.setdefault(passage.source, []).append((passage, fold(passage.text)))

    def find(self, statement: str, source: int, quote: str) -> tuple[Found | None, str]:
        """The first place of the quote that bears the statement out, else why there is none. A quote that stands in
        another source than the one that was named is found there."""
        reason = "its quote stands in no source"
        for number in [source, *(other for other in self._shown if other != source)]:
            for passage, folded in self._shown.get(number, ()):
                for start, end in places(quote, folded):
                    found = Found(number, passage.start + start, passage.start + end, passage.text[start:end])
                    doubt = _doubt(statement, self._sources[number], found)
                    if not doubt:
                        return found, ""
                    reason = doubt
        return None, reason

    def place(self, source: int, quote: str) -> Found | None:
        """Where the quote stands in that source, if it does."""
        for passage, folded in self._shown.get(source, ()):
            for start, end in places(quote, folded):
                return Found(source, passage.start + start, passage.start + end, passage.text[start:end])
        return None

    def sentences(self) -> Iterator[Found]:
        """Every sentence of the passages."""
        for shown in self._shown.values():
            for passage, _ in shown:
                yield from sentences_of(passage)

    def sentence(self, found: Found) -> Found:
        """The whole sentence around a place, without white space at its ends."""
        text = self._sources[found.source].text
        start, end = sentence_around(text, found.start, found.end)
        sentence = text[start:end]
        start += len(sentence) - len(sentence.lstrip())
        return Found(found.source, start, start + len(sentence.strip()), sentence.strip())

    def shown_sentence(self, found: Found) -> Found:
        """As much of that sentence as was shown: what is cited must be there to be read."""
        whole = self.sentence(found)
        for passage, _ in self._shown[found.source]:
            if passage.start <= found.start and found.end <= passage.end:
                start, end = max(whole.start, passage.start), min(whole.end, passage.end)
                return Found(found.source, start, end, passage.text[start - passage.start : end - passage.start])
        return found


def sentences_of(passage: Passage) -> Iterator[Found]:
    """The sentences of a passage, with their places."""
    position = 0
    for sentence in sentences(passage.text):
        position = passage.text.index(sentence, position)
        start = passage.start + position
        yield Found(passage.source, start, start + len(sentence), sentence)
        position += len(sentence)


def _doubt(statement: str, source: SourceText, found: Found) -> str:
    """What speaks against it; "" for nothing."""
    start, end = sentence_around(source.text, found.start, found.end)
    sentence = source.text[start:end]
    missing = numbers(statement).keys() - numbers(found.text).keys()
    if missing:
        return f"its quote does not give the number {min(missing)}"
    if denies(statement) != denies(source.text[start : found.end]):
        return "it or its quote is negated, and the other is not"
    context = sentence
    if stands_for_another(sentence) or not names(sentence):
        before, _ = sentence_around(source.text, max(0, start - 2), max(0, start - 1))
        context = f"{source.title}\n{source.text[before:end]}"
    unnamed = names(statement) - words_of(context)
    if unnamed:
        return f"its quote does not speak of {min(unnamed)}"
    wanted = stems(statement)
    if wanted and len(wanted & stems(context)) < SHARED_WORDS * len(wanted):
        return "its quote speaks of something else"
    return ""
