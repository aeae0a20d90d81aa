"""Which parts of long texts bear on a question: by their words, and by their meaning."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import mul

PASSAGE_CHARS = 700
READ_CHARS = 200_000
SATURATION = 1.2
RANK_SHIFT = 60
MAX_BY_MEANING = 800
"""Passages whose meaning is looked at; embedding costs time, or money."""

_WORD = re.compile(r"\w{2,}")
_BLANK_LINE = re.compile(r"\n\s*\n")

Vector = Sequence[float]


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a source: `source` is its number, `start` the place of the part's first character in the text."""

    source: int
    start: int
    text: str

    @property
    def end(self) -> int:
        """The place after its last character."""
        return self.start + len(self.text)


def split(source: int, text: str) -> list[Passage]:
    """The text in parts of at most `PASSAGE_CHARS` characters, cut between paragraphs where that is possible, else
    between words."""
    spans: list[tuple[int, int]] = []
    for start, end in _pieces(text[:READ_CHARS]):
        if spans and end - spans[-1][0] <= PASSAGE_CHARS:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return [Passage(source, start, text[start:end]) for start, end in spans]


def by_words(question: str, passages: Sequence[Passage]) -> list[int]:
    """The places in `passages` of those that share words with the question, best first.

    Words weigh by rarity and repeat with diminishing return: BM25 (Robertson and Zaragoza, 2009) without its length
    term, as passages are about equally long.
    """
    counts = [Counter(_words(passage.text)) for passage in passages]
    asked = set(_words(question))
    holding = Counter(word for count in counts for word in count.keys() & asked)
    weight = {word: math.log(1 + (len(passages) - n + 0.5) / (n + 0.5)) for word, n in holding.items()}
    scores = [
        sum(weight[word] * count[word] / (count[word] + SATURATION) for word in count.keys() & asked)
        for count in counts
    ]
    return sorted((place for place, score in enumerate(scores) if score > 0), key=lambda place: (-scores[place], place))


def by_meaning(question: Vector, passages: Sequence[Vector]) -> list[int]:
    """The places in `passages`, unit vectors, the nearest to the question first."""
    scores = [sum(map(mul, question, vector)) for vector in passages]
    return sorted(range(len(passages)), key=lambda place: (-scores[place], place))


def sample(passages: Sequence[Passage], orders: Sequence[Sequence[int]]) -> list[int]:
    """The places of at most MAX_BY_MEANING passages whose meaning is worth a look: half of them the best by words, the
    rest from the beginnings of the sources, where a text says what it is about."""
    if len(passages) <= MAX_BY_MEANING:
        return list(range(len(passages)))
    best = dict.fromkeys(place for ranks in _turns(orders) for place in ranks)
    kept = dict.fromkeys(list(best)[: MAX_BY_MEANING // 2])
    of_source: dict[int, list[int]] = {}
    for place, passage in enumerate(passages):
        of_source.setdefault(passage.source, []).append(place)
    for turn in _turns(list(of_source.values())):
        for place in turn:
            if len(kept) < MAX_BY_MEANING:
                kept.setdefault(place)
    return sorted(kept)


def pick(passages: Sequence[Passage], orders: Sequence[Sequence[int]], budget_chars: int) -> list[Passage]:
    """The best passages, at most `budget_chars` characters of them, by source and place. The best one of each source
    comes before the second one of any; neighbours are joined by `joined`.

    `orders` are rankings of places, best first, of which a passage may be in some only: reciprocal rank fusion
    (Cormack, Clarke and Buettcher, 2009, k = 60).
    """
    score: defaultdict[int, float] = defaultdict(float)
    for order in orders:
        for rank, place in enumerate(order, 1):
            score[place] += 1 / (RANK_SHIFT + rank)
    ranked = sorted(range(len(passages)), key=lambda place: (-score[place], place))
    picked: list[Passage] = []
    for passage in _each_source_first([passages[place] for place in ranked]):
        if len(passage.text) <= budget_chars:
            picked.append(passage)
            budget_chars -= len(passage.text)
    return sorted(picked, key=lambda passage: (passage.source, passage.start))


def joined(passages: Sequence[Passage], texts: Mapping[int, str]) -> list[Passage]:
    """The passages by source and place, those that overlap or have nothing but white space between them as one."""
    whole: list[Passage] = []
    for passage in sorted(passages, key=lambda passage: (passage.source, passage.start)):
        last = whole[-1] if whole else None
        text = texts[passage.source]
        if last and last.source == passage.source and not text[last.end : passage.start].strip():
            whole[-1] = Passage(last.source, last.start, text[last.start : max(last.end, passage.end)])
        else:
            whole.append(passage)
    return whole


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Paragraphs, the long ones cut between words."""
    start = 0
    for match in [*_BLANK_LINE.finditer(text), None]:
        end = match.start() if match else len(text)
        yield from _cut(text, start, end)
        start = match.end() if match else end


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while True:
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        if end - start <= PASSAGE_CHARS:
            break
        cut = text.rfind(" ", start + PASSAGE_CHARS // 2, start + PASSAGE_CHARS)
        cut = start + PASSAGE_CHARS if cut < 0 else cut
        yield start, cut
        start = cut
    if start < end:
        yield start, end


def _turns(lists: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """The first ones of all lists, then the second ones, and so on."""
    for place in range(max(map(len, lists), default=0)):
        yield [one[place] for one in lists if place < len(one)]


def _each_source_first(ranked: Sequence[Passage]) -> list[Passage]:
    seen: set[int] = set()
    first: list[Passage] = []
    rest: list[Passage] = []
    for passage in ranked:
        (rest if passage.source in seen else first).append(passage)
        seen.add(passage.source)
    return first + rest


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
