"""Hand-labelled pages: what of each is its main content stands between the comments `<!--[-->` and `<!--]-->`."""

import re
from dataclasses import dataclass
from pathlib import Path

from lxml import etree, html

PAGES = Path(__file__).with_name("pages")
_MARKS = re.compile(r"<!--[\[\]]-->")
_LABELLED = re.compile(r"<!--\[-->(.*?)<!--\]-->", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A page as it is served (`source`, without the labels), and what a reader wants of it: all `text`, the lines of
    its `code`, the cells of each of its table `rows`, its list `items`, each without those below it."""

    name: str
    source: str
    text: str
    code: list[str]
    rows: list[list[str]]
    items: list[str]


def labelled_pages() -> list[Labelled]:
    """All of them, by name."""
    return [_labelled(path) for path in sorted(PAGES.glob("*.html"))]


def _labelled(path: Path) -> Labelled:
    marked = path.read_text(encoding="utf-8")
    tree = html.fragment_fromstring("".join(_LABELLED.findall(marked)), create_parent="div")
    for gone in tree.xpath(".//*[contains(@class, 'headerlink') or contains(@class, 'linenos')]"):
        gone.drop_tree()
    code = [line.rstrip() for pre in tree.iter("pre") for line in "".join(pre.itertext()).strip("\n").split("\n")]
    rows = [[_words(cell) for cell in row] for row in tree.iter("tr") if row.find(".//pre") is None]
    items = [_words(_without_inner(item)) for item in tree.iter("li")]
    text = " ".join(" ".join(tree.itertext()).split())
    return Labelled(path.stem, _MARKS.sub("", marked), text, [line for line in code if line.strip()], rows, items)


def _words(element: etree._Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _without_inner(item: etree._Element) -> etree._Element:
    copy = html.fromstring(etree.tostring(item, encoding="unicode", method="html", with_tail=False))
    for inner in copy.xpath(".//ul | .//ol | .//pre"):
        inner.drop_tree()
    return copy
