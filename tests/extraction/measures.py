"""How much of a page's labelled content is in what was extracted, and in its form."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import mean

from tests.extraction.labels import Fact, Labelled

_LINK = re.compile(r"\]\((?:<[^>]*>|[^()\s]*(?:\([^()]*\)[^()\s]*)*)\)")
_WORD = re.compile(r"[^\W_]+")
_FENCE = re.compile(r"^```.*$", re.MULTILINE)
_MARKER = re.compile(r"^[^\S\n]*(?:[-*+]|\d+[.)])[^\S\n]+", re.MULTILINE)
_RULE = re.compile(r"\|[|\s:-]*-[|\s:-]*")
_WIDE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class Quality:
    """Shares from 0 to 1. `precision` and `recall` are of words; `code` of its lines, indentation and all; `tables` of
    rows that stand on one line, cell by cell; `cells` of facts that can be looked up by row and header; `lists` of
    items that begin a line with a marker. None for what a page does not have."""

    precision: float
    recall: float
    code: float | None
    tables: float | None
    cells: float | None
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
    right = ((wanted + Counter(_words(page.again))) & got).total()
    lines = output.split("\n")
    tables = _tables(lines)
    return Quality(
        precision=right / max(1, got.total()),
        recall=common / wanted.total(),
        code=_share([_has_line(lines, line) for line in page.code]),
        tables=_share([any(_has_row(line, row) for line in lines) for row in page.rows]),
        cells=_share([any(_says(table, fact) for table in tables) for fact in page.facts]),
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


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [" ".join(_words(_plain(cell))) for cell in re.split(r"(?<!\\)\|", inner)]


def _has_row(line: str, row: Sequence[str]) -> bool:
    return _cells(line) == [" ".join(_words(cell)) for cell in row]


def _tables(lines: Sequence[str]) -> list[list[str]]:
    """The lines of each table; one that is headed begins with its header, wherever that stands."""
    tables: list[list[str]] = [[]]
    for number, line in enumerate(lines):
        ruled = number + 1 < len(lines) and _RULE.fullmatch(lines[number + 1]) is not None
        if not line.startswith("|") or ruled:
            tables.append([])
        if line.startswith("|"):
            tables[-1].append(line)
    return [table for table in tables if table]


def _says(table: Sequence[str], fact: Fact) -> bool:
    """Whether one of its rows has the fact's cells, and in the column with that header its value."""
    headed = len(table) > 1 and _RULE.fullmatch(table[1]) is not None
    header = _cells(table[0]) if headed else []
    wanted, value = set(_words(fact.header)), " ".join(_words(fact.value))
    for row in map(_cells, table[2:] if headed else table):
        columns = [at for at, cell in enumerate(row) if cell == value]
        if all(" ".join(_words(cell)) in row for cell in fact.cells) and any(
            not wanted or (at < len(header) and wanted <= set(header[at].split())) for at in columns
        ):
            return True
    return False


def _begins(line: str, item: str) -> bool:
    marker = _MARKER.match(line)
    return marker is not None and _words(_plain(line[marker.end() :]))[:6] == _words(item)[:6]
