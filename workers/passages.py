"""Which parts of long texts bear on a question, and whether a quote stands in one."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

PASSAGE_CHARS = 700
READ_CHARS = 200_000
MIN_QUOTE_CHARS = 12
SATURATION = 1.2

_WORD = re.compile(r"\w{2,}")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
# Typographic quotation marks and dashes (U+2018 to U+201E, U+2013, U+2014) to plain ones; marks of Markdown and the
# soft hyphen (U+00AD) to nothing.
_SAME = {0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x201E: '"', 0x2013: "-", 0x2014: "-", 0xAD: None} | {
    ord(mark): None for mark in "*_`#"
}


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a source: `source` is its number, `at` the part's place in it, from 0."""

    source: int
    at: int
    text: str


def split(text: str) -> list[str]:
    """The text in parts of at most `PASSAGE_CHARS` characters, cut between paragraphs where that is possible, else
    between words."""
    parts: list[str] = []
    current = ""
    for paragraph in re.split(r"\n\s*\n", text[:READ_CHARS]):
        for piece in _pieces(paragraph.strip()):
            joined = f"{current}\n\n{piece}" if current else piece
            if current and len(joined) > PASSAGE_CHARS:
                parts.append(current)
                current = piece
            else:
                current = joined
    return [*parts, current] if current else parts


def pick(question: str, texts: Mapping[int, str], budget_chars: int) -> list[Passage]:
    """The passages that share most words with the question, at most `budget_chars` characters of them, in the order
    of their sources. The best one of each source comes before the second one of any.

    Words weigh by rarity and repeat with diminishing return: BM25 (Robertson and Zaragoza, 2009) without its length
    term, as passages are about equally long.
    """
    passages = [Passage(n, at, part) for n, text in sorted(texts.items()) for at, part in enumerate(split(text))]
    counts = [Counter(_words(passage.text)) for passage in passages]
    asked = set(_words(question))
    holding = Counter(word for count in counts for word in count.keys() & asked)
    weight = {word: math.log(1 + (len(passages) - n + 0.5) / (n + 0.5)) for word, n in holding.items()}
    score = {
        (passage.source, passage.at): sum(
            weight[word] * count[word] / (count[word] + SATURATION) for word in count.keys() & asked
        )
        for passage, count in zip(passages, counts, strict=True)
    }
    ranked = sorted(passages, key=lambda passage: (-score[passage.source, passage.at], passage.source, passage.at))
    picked: list[Passage] = []
    for passage in _each_source_first(ranked):
        if len(passage.text) <= budget_chars:
            picked.append(passage)
            budget_chars -= len(passage.text)
    return sorted(picked, key=lambda passage: (passage.source, passage.at))


def plain(text: str) -> str:
    """The text as quotes are compared: no case, Markdown marks, link targets or runs of blanks, plain quotation
    marks and dashes."""
    words = _LINK.sub(r"\1", unicodedata.normalize("NFKC", text)).translate(_SAME)
    return " ".join(words.casefold().split())


def quotes(quote: str, plain_text: str) -> bool:
    """Whether the quote stands in a text that went through `plain`. One too short to prove anything does not."""
    needle = plain(quote).strip("\"' .")
    return len(needle) >= MIN_QUOTE_CHARS and needle in plain_text


def _pieces(paragraph: str) -> list[str]:
    pieces: list[str] = []
    while len(paragraph) > PASSAGE_CHARS:
        cut = paragraph.rfind(" ", PASSAGE_CHARS // 2, PASSAGE_CHARS)
        cut = PASSAGE_CHARS if cut < 0 else cut
        pieces.append(paragraph[:cut].rstrip())
        paragraph = paragraph[cut:].lstrip()
    return [*pieces, paragraph] if paragraph else pieces


def _each_source_first(ranked: list[Passage]) -> list[Passage]:
    seen: set[int] = set()
    first: list[Passage] = []
    rest: list[Passage] = []
    for passage in ranked:
        (rest if passage.source in seen else first).append(passage)
        seen.add(passage.source)
    return first + rest


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
