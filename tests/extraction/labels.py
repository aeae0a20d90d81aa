"""Hand-labelled pages: what of each is its main content stands between the comments `<!--[-->` and `<!--]-->`, and what
a reader must be able to look up in its tables in comments like `<!--=Harbour + Reds ; 2024 Seats ; 3-->`: cells of the
row, words of the column's header, the cell. Without a header the second is empty."""

import re
from dataclasses import dataclass
from pathlib import Path

from lxml import etree, html

PAGES = Path(__file__).with_name("pages")
_MARKS = re.compile(r"<!--(?:[\[\]]|=.*?)-->")
_FACT = re.compile(r"<!--=(.*?) ;(.*?) ;(.*?)-->")
_LABELLED = re.compile(r"<!--\[-->(.*?)<!--\]-->", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fact:
    """What a table says: `cells` that its row has, `header` that stands above it, and the `value` there."""

    cells: list[str]
    header: str
    value: str


@dataclass(frozen=True, slots=True)
class Labelled:
    """A page as it is served (`source`, without the labels), and what a reader wants of it: all `text`, the lines of
    its `code`, the cells of each of its table `rows`, its list `items`, each without those below it, and the `facts` of
    its tables. `again` are texts of cells that span rows or columns, once for each further place: they may stand
    there, and need not. Rows that spans reach, and those of several headers, are measured by their facts alone."""

    name: str
    source: str
    text: str
    code: list[str]
    rows: list[list[str]]
    items: list[str]
    facts: list[Fact]
    again: str


def labelled_pages() -> list[Labelled]:
    """All of them, by name."""
    return [_labelled(path) for path in sorted(PAGES.glob("*.html"))]


def _labelled(path: Path) -> Labelled:
    marked = path.read_text(encoding="utf-8")
    tree = html.fragment_fromstring("".join(_LABELLED.findall(marked)), create_parent="div")
    for gone in tree.xpath(".//*[contains(@class, 'headerlink') or contains(@class, 'linenos')]"):
        gone.drop_tree()
    for cell in tree.iter("td", "th"):
        if not _words(cell):  # an icon is all that it says
            cell.text = next(iter(cell.xpath(".//@alt | .//@title")), None)
    code = [line.rstrip() for pre in tree.iter("pre") for line in "".join(pre.itertext()).strip("\n").split("\n")]
    rows = [[_words(cell) for cell in row] for row in tree.iter("tr") if _is_plain(row)]
    items = [_words(_without_inner(item)) for item in tree.iter("li") if not _in_cell(item)]
    facts = [Fact([cell.strip() for cell in row.split(" + ")], *rest) for row, *rest in _FACT.findall(marked)]
    text = " ".join(" ".join(tree.itertext()).split())
    code = [line for line in code if line.strip()]
    return Labelled(path.stem, _MARKS.sub("", marked), text, code, rows, items, facts, _again(tree))


def _is_plain(row: etree._Element) -> bool:
    table = next(row.iterancestors("table"), None)
    if table is not None and (table.find(".//*[@rowspan]") is not None or table.find(".//pre") is not None):
        return False
    spans = row.find("./*[@colspan]") is not None
    below = row.getprevious() is not None and row.getprevious().find("./th[@colspan]") is not None
    return not spans and not (below and row.find("./td") is None) and bool(_words(row))


def _in_cell(item: etree._Element) -> bool:
    return next(item.iterancestors("td", "th"), None) is not None


def _again(tree: etree._Element) -> str:
    texts: list[str] = []
    for cell in tree.iter("td", "th"):
        places = int(cell.get("colspan", "1")) * int(cell.get("rowspan", "1"))
        texts += [_words(cell)] * (places - 1)
    return " ".join(texts)


def _words(element: etree._Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _without_inner(item: etree._Element) -> etree._Element:
    copy = html.fromstring(etree.tostring(item, encoding="unicode", method="html", with_tail=False))
    for inner in copy.xpath(".//ul | .//ol | .//pre"):
        inner.drop_tree()
    return copy
