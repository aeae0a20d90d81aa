"""Sentences, and what of them can be compared without understanding them: numbers, names, negations, words."""

import re
from collections import Counter
from itertools import pairwise

REACH_CHARS = 600
"""No sentence is looked for further than this before and after a place in it."""

_END = re.compile(
    r"[.!?\u2026\u3002\uff01\uff1f][\"')\]\u2019\u201d]*(?=\s)|\n\s*\n|\n(?=[ \t]*(?:[#>|*+-]|\d+\.)[ \t])"
)
_ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|ca|approx|No|e\.g|i\.e|etc)|\b[A-Z])\.$")
_NUMBER = re.compile(r"(?<![^\W_])(-?\d+(?:[.,:/\u00a0\u202f']\d+)*)(?:st|nd|rd|th)?\s*(%|[a-z]+)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"(?<=\d)[,\u00a0\u202f'](?=\d{3}(?!\d))")
_WORD = re.compile(r"[^\W_]+(?:['\u2019\-][^\W_]+)*")
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|neither|nor|without|cannot|false|falsely|untrue|myth|incorrect|incorrectly|wrong|wrongly|"
    r"hoax|denied|denies|deny|debunked|disproved|refuted)\b|n['\u2019]t\b",
    re.IGNORECASE,
)
_STANDS_FOR = re.compile(
    r"\b(?:it|its|he|his|him|she|her|they|their|them|this|that|these|those|here|there|the)\b", re.IGNORECASE
)
_MAGNITUDES = {
    "hundred": "hundred", "thousand": "thousand", "million": "million", "mn": "million", "billion": "billion",
    "bn": "billion", "trillion": "trillion", "%": "%", "percent": "%", "per": "%", "dozen": "dozen",
}  # fmt: skip
_SPELLED = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "ten": "10", "eleven": "11", "twelve": "12",
}  # fmt: skip
_SPELLED_OUT = re.compile(r"\b(" + "|".join(_SPELLED) + r")\b", re.IGNORECASE)
_EMPTY_WORDS = frozenset(
    """a about above after also although among an and any are around as at be because been before being between both but
    by can could did do does during each either for from had has have he her his how however i if in into is it its may
    many might more most much must of on one only or other our over per she should since so some such than that the
    their them then there these they this those through thus to under until up very was we were what when where which
    while who will with would you""".split()  # noqa: SIM905  # a list literal would be one word a line
)


def sentences(text: str) -> list[str]:
    """The text cut after its sentences; blank ones left out."""
    cuts = [0, *_ends(text), len(text)]
    pieces = (text[start:end].strip() for start, end in pairwise(cuts))
    return [piece for piece in pieces if piece]


def sentence_around(text: str, start: int, end: int) -> tuple[int, int]:
    """Where the sentence, or the sentences, begin and end that this place lies in."""
    low, high = max(0, start - REACH_CHARS), min(len(text), end + REACH_CHARS)
    before = [cut for cut in _ends(text[low:high]) if low + cut <= start]
    after = [cut for cut in _ends(text[low:high]) if low + cut >= end]
    return (low + before[-1] if before else low), (low + after[0] if after else high)


def numbers(text: str) -> Counter[str]:
    """The numbers in the text, each in one spelling: no separators of thousands, with its percent sign or word of
    magnitude. Numbers from two to twelve count in words too."""
    found: Counter[str] = Counter()
    for match in _NUMBER.finditer(_SPELLED_OUT.sub(lambda word: _SPELLED[word[1].lower()], text)):
        found[_THOUSANDS.sub("", match[1]) + _magnitude(match)] += 1
    return found


def names(text: str) -> set[str]:
    """Words that are names by their looks: capitalised, other than at the beginning of a sentence, or all capitals."""
    found: set[str] = set()
    for sentence in sentences(text):
        words = _WORD.findall(sentence)
        for place, word in enumerate(words):
            capital = word[:1].isupper() and word.casefold() not in _EMPTY_WORDS
            leads_a_name = place == 0 and len(words) > 1 and words[1][:1].isupper()
            if capital and (place > 0 or leads_a_name or (word.isupper() and len(word) > 1)):
                found.add(_bare(word))
    return found


def denies(text: str) -> bool:
    """Whether the text says that something is not so."""
    return _NEGATION.search(text) is not None


def stands_for_another(text: str) -> bool:
    """Whether the text speaks of something by a pronoun, or by an article and a general word."""
    return _STANDS_FOR.search(text) is not None


def words_of(text: str) -> set[str]:
    """All words, in one spelling."""
    return {_bare(word) for word in _WORD.findall(text)}


def stems(text: str) -> set[str]:
    """The beginnings of the words that carry meaning: enough to know "boils" and "boiling" for the same."""
    found = {_bare(word) for word in _WORD.findall(text)}
    return {word[:5] for word in found if len(word) > 2 and word not in _EMPTY_WORDS and not word.isdigit()}


def _ends(text: str) -> list[int]:
    return [match.end() for match in _END.finditer(text) if not _ABBREVIATION.search(text[: match.end()][-12:])]


def _magnitude(match: re.Match[str]) -> str:
    word = (match[2] or "").casefold()
    if word == "per" and not match.string[match.end() :].lstrip().casefold().startswith("cent"):
        return ""
    return _MAGNITUDES.get(word, "")


def _bare(word: str) -> str:
    folded = word.replace("\u2019", "'").casefold()
    return folded.removesuffix("'s")
