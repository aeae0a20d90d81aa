"""How much of a page's labelled content is in what was extracted, and in its form."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import mean

from tests.extraction.labels import Labelled

_LINK = re.compile(r"\]\((?:<[^>]*>|[^()\s]*(?:\([^()]*\)[^()\s]*)*)\)")
_WORD = re.compile(r"[^\W_]+")
_FENCE = re.compile(r"^```.*$", re.MULTILINE)
_MARKER = re.compile(r"^[^\S\n]*(?:[-*+]|\d+[.)])[^\S\n]+", re.MULTILINE)
_WIDE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class Quality:
    """Shares from 0 to 1. `precision` and `recall` are of words; `code` of its lines, indentation and all; `tables` of
    rows that stand on one line, cell by cell; `lists` of items that begin a line with a marker. None for what a page
    does not have."""

    precision: float
    recall: float
    code: float | None
    tables: float | None
    lists: float | None

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def quality(page: Labelled, output: str) -> Quality:
    """Of a page's extraction, which is plain text or Markdown."""
    wanted, got = Counter(_words(page.text)), Counter(_words(_plain(output)))
    common = (wanted & got).total()
    lines = output.split("\n")
    return Quality(
        precision=common / max(1, got.total()),
        recall=common / wanted.total(),
        code=_share([_has_line(lines, line) for line in page.code]),
        tables=_share([any(_has_row(line, row) for line in lines) for row in page.rows]),
        lists=_share([any(_begins(line, item) for line in lines) for item in page.items]),
    )


def average(qualities: Sequence[Quality]) -> Quality:
    """Of each measure, over the pages that have it."""
    means = {}
    for field in fields(Quality):
        values = [value for one in qualities if (value := getattr(one, field.name)) is not None]
        means[field.name] = mean(values)
    return Quality(**means)


def _plain(output: str) -> str:
    """Markdown without its links' addresses, its fences' languages and its lists' markers."""
    return _MARKER.sub("", _LINK.sub("]", _FENCE.sub("", output)))


def _words(text: str) -> list[str]:
    """Words, and of languages that put no space between them the characters."""
    return [part for word in _WORD.findall(text.casefold()) for part in (word if _WIDE.search(word) else [word])]


def _share(found: Sequence[bool]) -> float | None:
    return sum(found) / len(found) if found else None


def _has_line(lines: Sequence[str], wanted: str) -> bool:
    """Code in a list is indented as a whole: deeper is right, shallower is not."""
    return any(line.rstrip().endswith(wanted) and not line[: -len(wanted) or None].strip() for line in lines if line)


def _has_row(line: str, row: Sequence[str]) -> bool:
    cells = [" ".join(_words(_plain(cell))) for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
    return cells == [" ".join(_words(cell)) for cell in row]


def _begins(line: str, item: str) -> bool:
    marker = _MARKER.match(line)
    return marker is not None and _words(_plain(line[marker.end() :]))[:6] == _words(item)[:6]
