"""Finding a quote in a text, and the exact place where it stands.

White space and typography may differ, words and numbers may not: a quote is found where the text has the same words in
the same order, whole, whatever its quotation marks, dashes, line breaks and Markdown marks are.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

MIN_QUOTE_CHARS = 12
"""Shorter quotes stand anywhere, and prove nothing."""

# Typographic spellings and their plain ones. Quotation marks: U+2018 to U+201F, U+00AB, U+00BB, U+2039, U+203A. Dashes
# and the minus sign: U+2010 to U+2015, U+2212. The ellipsis: U+2026. Latin ligatures: U+FB00 to U+FB04. The soft
# hyphen, the zero-width space, the word joiner and the byte order mark: nothing.
_PLAIN = (
    dict.fromkeys((0x2018, 0x2019, 0x201A, 0x201B, 0x2039, 0x203A), "'")
    | dict.fromkeys((0x201C, 0x201D, 0x201E, 0x201F, 0x00AB, 0x00BB), '"')
    | dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2015, 0x2212), "-")
    | {0x2026: "...", 0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl"}
    | dict.fromkeys((0x00AD, 0x200B, 0x2060, 0xFEFF), "")
)

# Marks of Markdown (CommonMark 0.31) that are no part of the words: around links and images, at the beginning of a line
# (headings, quotations, bullets), emphasis and code around words, and the backslash of an escape. A star between two
# numbers stays: it is no mark.
_MARKS = re.compile(
    r"!?\[(?=[^\]\n]*\]\([^)\n]*\))|\]\([^)\n]*\)"
    r"|^[ \t]*(?:\#{1,6}|>|[-*+])[ \t]+"
    r"|(?<!\w)[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}(?!\w)"
    r"|\\(?=[!-/:-@\[-`{-~])",
    re.MULTILINE,
)
_AROUND = " \t\"'.,;:"
_REST_OF_NUMBER = re.compile(
    r"[%\u2030]|[.,:/'-]\d| ?(?:hundred|thousand|million|billion|trillion|mn|bn|per ?cent)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class FoldedText:
    """A text in plain spelling. Its character i stands for the characters from `starts[i]` to `ends[i]` of the
    original."""

    text: str
    starts: list[int]
    ends: list[int]


def fold(text: str) -> FoldedText:
    """The text in plain spelling: no Markdown marks, plain quotation marks and dashes, one blank for each run of white
    space, characters composed (NFC). Case, words and numbers stay."""
    kept, starts, ends = list[str](), list[int](), list[int]()
    for start, end in _clusters(text):
        plain = _plain(text[start:end])
        if plain == " " and (not kept or kept[-1] == " "):
            continue
        for character in plain:
            kept.append(character)
            starts.append(start)
            ends.append(end)
    return FoldedText("".join(kept), starts, ends)


def places(quote: str, folded: FoldedText) -> Iterator[tuple[int, int]]:
    """Where the quote stands: start and end in the original text. The case of its first letter does not count, nor do
    punctuation and quotation marks around it; it must begin and end with whole words and numbers."""
    needle = fold(quote).text.strip(_AROUND)
    if len(needle) < MIN_QUOTE_CHARS:
        return
    for spelling in dict.fromkeys((needle, needle[0].swapcase() + needle[1:])):
        start = folded.text.find(spelling)
        while start >= 0:
            end = start + len(spelling)
            if _is_whole(folded.text, start, end):
                yield folded.starts[start], folded.ends[end - 1]
            start = folded.text.find(spelling, start + 1)


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Each character with the marks that combine with it; Markdown's marks left out."""
    position = 0
    for start, end in [*(match.span() for match in _MARKS.finditer(text)), (len(text), len(text))]:
        while position < start:
            after = position + 1
            while after < start and unicodedata.combining(text[after]):
                after += 1
            yield position, after
            position = after
        position = max(position, end)


def _plain(cluster: str) -> str:
    if cluster.isspace():
        return " "
    if cluster.isascii():
        return cluster
    return unicodedata.normalize("NFC", cluster).translate(_PLAIN)


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether neither end cuts a word, or a number from its other digits, its sign, percent or magnitude."""
    before, first, last = text[max(0, start - 2) : start], text[start], text[end - 1]
    if (before[-1:].isalnum() and first.isalnum()) or (text[end : end + 1].isalnum() and last.isalnum()):
        return False
    if first.isdigit() and before[-1:] in ("-", "+") and not before[:-1].isalnum():
        return False
    if first.isdigit() and before[:1].isdigit() and before[-1:] in (".", ",", ":", "/", "-", "'"):
        return False
    return not (last.isdigit() and _REST_OF_NUMBER.match(text, end))
