"""Texts as sparse vectors of their words, for the half of hybrid search that looks at words.

A document's weight of a word is the term-frequency part of BM25, with saturation and length normalisation (Robertson
and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, equation 3.15, without its IDF factor):

    tf * (K1 + 1) / (tf + K1 * (1 - B + B * length / AVERAGE_LENGTH))

The IDF factor is the vector store's part: it knows how rare a word is (Qdrant: `modifier: idf`). A query weighs each of
its words 1, so that the product of the two vectors, with IDF, is the BM25 score.
"""

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

K1 = 1.2
B = 0.75
AVERAGE_LENGTH = 100
"""Words of a typical text here, function words left out: chunks are closed at some 900 characters."""

FUNCTION_WORDS = frozenset(
    """a about after all also am an and any are as at be because been before being but by can could did do does doing
    down during each few for from further get got had has have having he her here hers him his how i if in into is it
    its itself just me more most my no nor not of off on once only or other our ours out over own same she should so
    some such than that the their theirs them then there these they this those through to too under until up upon us
    very was we were what when where which while who whom whose why will with would you your yours
    s t ll re ve don doesn didn isn""".split()  # noqa: SIM905  # a list literal would be one word a line
)
"""English words that say nothing of a text's subject. Rank fusion sees ranks and no scores, so a text that shares only
such words with a query would count as much as one that shares its subject. Other languages' are left to IDF."""

_WORD = re.compile(r"\w+")
_ASCII_WORDS = {code: chr(code).lower() if _WORD.match(chr(code)) else " " for code in range(128)}
"""ASCII in lower case, with a space for what is in no word: to split at those takes a third of what matching does."""
# Scripts that put no spaces between words: kana, CJK ideographs (with extension A and the compatibility block), Thai,
# Lao, Khmer and Burmese.
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1780-\u17ff\u1000-\u109f]+")


@dataclass(frozen=True, slots=True)
class SparseVector:
    """`indices` are distinct and ascending, in 0 to 2**32 - 1; `values` has one number for each."""

    indices: list[int]
    values: list[float]


def words(text: str) -> list[str]:
    """The text's words in order: compatibility-normalised (NFKC), case-folded, without English function words.

    Runs of a script without spaces become overlapping pairs of characters, as search engines do for CJK.
    """
    if text.isascii():  # it has one form, and no such script
        runs = text.translate(_ASCII_WORDS).split()
    else:
        folded = unicodedata.normalize("NFKC", text).casefold()
        runs = _WORD.findall(folded)
        if _UNSPACED.search(folded):
            runs = [word for run in runs for word in _split(run)]
    return [word for word in runs if word not in FUNCTION_WORDS]


def document_vector(text: str) -> SparseVector:
    """BM25's term-frequency weights of the text's words."""
    found = words(text)
    norm = K1 * (1 - B + B * len(found) / AVERAGE_LENGTH)
    return _vector({word: tf * (K1 + 1) / (tf + norm) for word, tf in Counter(found).items()})


def presence_vector(text: str, weight: float = 1.0) -> SparseVector:
    """The same `weight` for each distinct word of the text: 1 makes a query for `document_vector`s."""
    return _vector(dict.fromkeys(words(text), weight))


def _split(run: str) -> Iterator[str]:
    end = 0
    for match in _UNSPACED.finditer(run):
        if match.start() > end:
            yield run[end : match.start()]
        yield from _pairs(match.group())
        end = match.end()
    if end < len(run):
        yield run[end:]


def _pairs(run: str) -> list[str]:
    return [run[start : start + 2] for start in range(len(run) - 1)] or [run]


def _vector(weights: dict[str, float]) -> SparseVector:
    """By the CRC-32 (ISO 3309) of each word's UTF-8, the same in every process; words that collide add up."""
    by_index: dict[int, float] = {}
    for word, weight in weights.items():
        index = zlib.crc32(word.encode("utf-8", "surrogatepass"))
        by_index[index] = by_index.get(index, 0.0) + weight
    indices = sorted(by_index)
    return SparseVector(indices, [by_index[index] for index in indices])
