"""Sources that contradict each other, as far as that shows by comparison: two sentences that speak of the same, and
differ in one number, or in that one of them denies it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from workers.evidence import Found, sentences_of
from workers.passages import Passage
from workers.sentences import denies, numbers, stems

SAME_SUBJECT = 0.6
"""Of the words of two sentences, so many are the same in both."""

MIN_SHARED = 3
MAX_CONFLICTS = 10


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two places in different sources, and what differs."""

    text: str
    first: Found
    second: Found


def compare(cited: Iterable[Found], passages: Sequence[Passage]) -> list[Conflict]:
    """What speaks against cited sentences in the passages of other sources; each pair once, at most MAX_CONFLICTS."""
    others = [_Sentence.of(found) for passage in passages for found in sentences_of(passage)]
    conflicts: dict[frozenset[tuple[int, int]], Conflict] = {}
    for found in dict.fromkeys(cited):
        mine = _Sentence.of(found)
        for other in others:
            if other.place.source != found.source and (difference := mine.difference(other)):
                pair = frozenset({(found.source, found.start), (other.place.source, other.place.start)})
                conflicts.setdefault(pair, Conflict(difference, found, other.place))
    return list(conflicts.values())[:MAX_CONFLICTS]


@dataclass(frozen=True, slots=True)
class _Sentence:
    place: Found
    words: set[str]
    numbers: Mapping[str, int]
    negated: bool

    @classmethod
    def of(cls, place: Found) -> "_Sentence":
        return cls(place, stems(place.text), numbers(place.text), denies(place.text))

    def difference(self, other: "_Sentence") -> str:
        """What differs, in a few words; "" where the two do not contradict each other by their looks."""
        shared = self.words & other.words
        if len(shared) < MIN_SHARED or len(shared) < SAME_SUBJECT * len(self.words | other.words):
            return ""
        mine, theirs = self.numbers.keys() - other.numbers.keys(), other.numbers.keys() - self.numbers.keys()
        sources = f"Sources [{self.place.source}] and [{other.place.source}]"
        if len(mine) == len(theirs) == 1 and self.negated == other.negated:
            return f"{sources} give different numbers: {min(mine)} and {min(theirs)}."
        if not mine and not theirs and self.negated != other.negated:
            denying = self.place.source if self.negated else other.place.source
            return f"{sources} disagree: [{denying}] denies it."
        return ""
