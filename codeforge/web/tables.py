"""A page's tables, made such that Markdown can hold them: what lays out the page becomes blocks, and of a table of data
each row stands for itself, under one row of headers.

A cell that spans rows or columns stands in each of them, as the table model of HTML has it
(https://html.spec.whatwg.org/multipage/tables.html#forming-a-table): a row, read or found alone, says what it is about.
"""

import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from itertools import takewhile
from typing import Any, Final

MAX_SPAN: Final = 1_000
"""As browsers have it for columns; they allow more rows."""

MAX_REPEATED_CHARS: Final = 200
"""A longer cell stands in its first place alone."""

MAX_ADDED: Final = 10_000
"""Cells of a page that spans add; after them, spans are as if they were none."""

MAX_CELLS: Final = 200_000
"""Of a table, places without a cell too; the rows of a larger one become lines."""

MAX_DIGITS: Final = 6
"""Of a span; what is longer is no number."""

MIN_GUESSED: Final = 2
"""Rows that a table without any marked header must have more of, before its first row may be one."""

NESTED_SHARE: Final = 0.5
LONG_CHARS: Final = 400
_HEADINGS: Final = ("h1", "h2", "h3", "h4", "h5", "h6")
_LINES: Final = ("p", "div", "section", "article", "blockquote", "dt", "dd", "figure", *_HEADINGS)
_AROUND: Final = ("table", "tr", "td", "th", "caption")
_WRAPPERS: Final = ("ul", "ol", "dl", "pre", "button", "center", "figcaption", "details", "summary")
_NUMBER: Final = re.compile(r"[^\w\s]{0,2}\s?\d[\d.,\s]*\W{0,2}\s?\w{0,3}")
_ENDED: Final = re.compile(r"[.,;:!?\u3002\u3001]\s*$")

Row = list[Any]
"""The cell, or None, in each column; one that spans columns or rows is in several places."""


def tidy_tables(root: Any) -> None:
    """Changes all tables below `root`, those within others first. Never fails, whatever their markup says."""
    room = MAX_ADDED
    for table in reversed(list(root.iter("table"))):
        rows = _own_rows(table)
        if _lays_out(table, rows):
            _as_blocks(table, rows)
        else:
            for row in rows:
                for cell in _cells(row):
                    _one_line(cell)
            room = _regular(table, rows, room)


def is_headed(table: Any) -> bool:
    """Whether its markup says what its rows or columns are: then it is data, whatever is in its cells."""
    return table.get("role") not in ("presentation", "none") and any(
        table_of(cell) is table for cell in table.iter("th", "caption")
    )


def table_of(part: Any) -> Any:
    """The innermost table around the part, or None."""
    return next((above for above in part.iterancestors("table")), None)


def _own_rows(table: Any) -> list[Any]:
    """Heads first and feet last, wherever they stand. Rows that are lost in a cell are text of it."""
    rows = [row for row in table.iter("tr") if next(row.iterancestors(*_AROUND), None) is table]
    return sorted(rows, key=lambda row: {"thead": 0, "tfoot": 2}.get(row.getparent().tag, 1))


def _cells(row: Any) -> list[Any]:
    return list(row.iterchildren("td", "th"))


def _text(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())


def _lays_out(table: Any, rows: list[Any]) -> bool:
    """One column, code of several lines, or without headers what only pages have: tables within, headings, long texts
    in paragraphs."""
    if all(len(_cells(row)) <= 1 for row in rows) or table.get("role") in ("presentation", "none"):
        return True
    if any("\n" in pre.text_content().strip() for pre in table.iter("pre")):
        return True
    nested = [inner for inner in table.iterdescendants("table") if table_of(inner) is table]
    if is_headed(table):
        return sum(len(_text(inner)) for inner in nested) >= NESTED_SHARE * max(1, len(_text(table)))
    return bool(nested) or any(_is_page(cell) for row in rows for cell in _cells(row))


def _is_page(cell: Any) -> bool:
    if next(cell.iter(*_HEADINGS), None) is not None:
        return True
    return len(_text(cell)) > LONG_CHARS and len(list(cell.iter("p", "ul", "ol"))) > 1


def _as_blocks(table: Any, rows: list[Any]) -> None:
    parts = [part for part in table.iter("tbody", "thead", "tfoot", "caption") if table_of(part) is table]
    for part in [table, *parts, *rows, *(cell for row in rows for cell in _cells(row))]:
        part.tag = "div"


def _one_line(cell: Any) -> None:
    """What stands on lines of its own in the cell follows on the one that Markdown has, items apart by semicolons. An
    image that is all of the cell says what it is called."""
    if not _text(cell):
        named = (part.get("alt") or part.get("aria-label") or part.get("title") for part in cell.iter())
        cell.text = next((name for name in named if name), cell.text)
    for block in list(cell.iter(*_LINES, "td", "th")):
        if block is not cell:
            block.text, block.tail = f" {block.text or ''}", f" {block.tail or ''}"
            block.drop_tag()
    for block in reversed(list(cell.iter("li", "tr", "br"))):
        _part_from_next(block, apart=block.tag != "br" or cell.tag == "td")
    for wrapper in list(cell.iter("li", "tr", "tbody", "thead", "tfoot", "table", "caption", *_WRAPPERS)):
        wrapper.drop_tag()
    for line_break in list(cell.iter("br", "hr", "img")):
        line_break.drop_tag()


def _part_from_next(block: Any, *, apart: bool) -> None:
    """Puts a semicolon after the block where something of its kind, or after a line break a value of its own, comes
    next, and nothing was there that ends a sentence."""
    following = (block.tail or "").lstrip()
    if block.tag == "br":
        before = block.getprevious()
        text = (before.tail or _text(before)) if before is not None else (block.getparent().text or "")
        own = following[:1].isupper() or following[:1].isdigit()
    else:
        text = _text(block)
        own = block.getnext() is not None and block.getnext().tag == block.tag
    mark = "; " if apart and own and text.strip() and not _ENDED.search(text) else " "
    block.text = f" {block.text or ''}"
    _without_end(block)
    block.tail = mark + following


def _without_end(block: Any) -> None:
    """Takes the space from its end, where the mark goes."""
    if len(block):
        block[-1].tail = (block[-1].tail or "").rstrip()
    else:
        block.text = (block.text or "").rstrip()


def _regular(table: Any, rows: list[Any], room: int) -> int:
    """Lays the rows out on a grid, under one row of headers. Returns the room that is left for what spans add."""
    grid, room = _grid(rows, room)
    heads = _heads(rows)
    head, body = _filled(grid[:heads]), _filled(grid[heads:])
    width = max((len(row) for row in head + body), default=0)
    if not body or width * len(body) > MAX_CELLS:
        _as_lines(table, rows)
        return room
    titles = [row[0] for row in head if _is_full(row)]
    headers = [row for row in head if not _is_full(row)]
    if not headers and len(body) > MIN_GUESSED and _heads_columns(body):
        headers, body = body[:1], body[1:]
    _rebuild(table, titles, _merged(headers, width), body)
    return room


def _grid(rows: list[Any], room: int) -> tuple[list[Row], int]:
    """The rows with their spans carried out, without columns that no cell begins in."""
    lines: list[dict[int, Any]] = []
    begun: set[int] = set()
    below: dict[int, tuple[Any, int]] = {}
    for row, rows_left in _with_rows_left(rows):
        line = {column: cell for column, (cell, _) in below.items()}
        below = {column: (cell, left - 1) for column, (cell, left) in below.items() if left > 1}
        column = 0
        for cell in _cells(row):
            while column in line:
                column += 1
            across, down = _span(cell, "colspan"), min(_span(cell, "rowspan") or MAX_SPAN, rows_left)
            if across * down - 1 > room:
                across = down = 1
            room -= across * down - 1
            begun.add(column)
            line |= dict.fromkeys(range(column, column + across), cell)
            if down > 1:
                below |= dict.fromkeys(range(column, column + across), (cell, down - 1))
            column += across
        lines.append(line)
    columns = sorted(begun)
    return [[line.get(column) for column in columns if column <= max(line, default=-1)] for line in lines], room


def _with_rows_left(rows: list[Any]) -> Iterator[tuple[Any, int]]:
    """Each row, and how many its part of the table still has, itself among them: no cell reaches further."""
    counts = Counter(row.getparent() for row in rows)
    for row in rows:
        yield row, counts[row.getparent()]
        counts[row.getparent()] -= 1


def _span(cell: Any, name: str) -> int:
    text: str = (cell.get(name) or "").strip()
    number = int(text) if text.isascii() and text.isdigit() and len(text) < MAX_DIGITS else 1
    return min(MAX_SPAN, number if name == "rowspan" else max(1, number))


def _filled(grid: list[Row]) -> list[Row]:
    return [row for row in grid if any(cell is not None and _text(cell) for cell in row)]


def _is_full(row: Row) -> bool:
    """Whether one cell is all of the row: a title, or what the rows below have in common."""
    return len(row) > 1 and all(cell is row[0] for cell in row)


def _heads(rows: list[Any]) -> int:
    """How many of the rows, the first ones, are headers of columns."""
    marked = [row for row in rows if row.getparent().tag == "thead"]
    if marked:
        return len(marked)
    alike = list(takewhile(lambda row: all(cell.tag == "th" for cell in _cells(row)), rows))
    return len(alike) if len(alike) < len(rows) else min(1, len(rows))


def _heads_columns(rows: list[Row]) -> bool:
    """Whether the first row, which nothing marks as headers, is bold, or has words above columns of numbers."""
    first = [(column, cell) for column, cell in enumerate(rows[0]) if cell is not None and _text(cell)]
    if len(first) < len(rows[0]) - 1 or any(cell.tag == "th" for cell in rows[0] if cell is not None):
        return False
    if all(_is_bold(cell) for _, cell in first):
        return True
    below = [[_text(row[at]) for row in rows[1:] if at < len(row) and row[at] is not None] for at, _ in first]
    numbers = [bool(texts) and all(_NUMBER.fullmatch(text) for text in texts) for texts in below]
    return any(numbers) and not any(_NUMBER.fullmatch(_text(cell)) for _, cell in first)


def _is_bold(cell: Any) -> bool:
    return _text(cell) == " ".join(_text(part) for part in cell.iterchildren("b", "strong"))


def _merged(headers: list[Row], width: int) -> list[Any]:
    """One header a column, of all that stand above it."""
    from lxml import etree

    if len(headers) == 1:
        return [*headers[0], *[None] * (width - len(headers[0]))]
    merged = []
    for column in range(width):
        above = [row[column] for row in headers if column < len(row) and row[column] is not None]
        header = etree.Element("th")
        header.text = " / ".join(text for text in dict.fromkeys(_text(cell) for cell in above) if text)
        merged.append(header)
    return merged


def _rebuild(table: Any, titles: list[Any], header: list[Any], body: list[Row]) -> None:
    from lxml import etree

    captions = [_text(part) for part in [*table.iterchildren("caption"), *titles]]
    tail = table.tail
    table.clear()
    table.tail = tail
    if any(captions):
        etree.SubElement(table, "caption").text = " / ".join(filter(None, captions))
    head = etree.SubElement(etree.SubElement(table, "thead"), "tr")
    head.extend(_placed(cell, "th") for cell in header)
    rows = etree.SubElement(table, "tbody")
    seen: set[Any] = set()
    for row in body:
        line, full = etree.SubElement(rows, "tr"), _is_full(row)
        for column, cell in enumerate(row):
            again = cell is None or (column and full) or (cell in seen and len(_text(cell)) > MAX_REPEATED_CHARS)
            line.append(_placed(None if again else cell, "td"))
            seen.add(cell)


def _placed(cell: Any, tag: str) -> Any:
    """A copy, for a cell may stand in several places."""
    from lxml import etree

    if cell is None:
        return etree.Element(tag)
    copy = deepcopy(cell)
    copy.tag, copy.tail = tag, None
    copy.attrib.clear()
    return copy


def _as_lines(table: Any, rows: list[Any]) -> None:
    _as_blocks(table, rows)
    for row in rows:
        row.tag = "p"
        for cell in row.iterchildren("div"):
            cell.tag, cell.tail = "span", " "
