"""From elements of a page to Markdown (GitHub's, for its tables), by html-to-markdown."""

import re
from typing import Any, Final

from codeforge.web.tables import table_of, tidy_tables

_LANGUAGE: Final = re.compile(
    r"(?:^|\s)(?:language|lang|highlight-source|highlight|brush:?|sourceCode)[-\s:]+([\w+#]+)"
)
_NO_LANGUAGES: Final = frozenset({"default", "none", "text", "plain", "notranslate", "plaintext", "source"})
_BLANK_LINES: Final = re.compile(r"\n{3,}")
_ITEM: Final = re.compile(r" *(?:[-*+]|\d+[.)]) ")
_BEFORE_ITEM: Final = re.compile(rf"\n\n(?={_ITEM.pattern})")
_FENCED: Final = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_BLOCKS: Final = ("p", "div", "ul", "ol", "pre", "table", "dl", "blockquote", "section")
_HEADINGS: Final = tuple(f"h{level}" for level in range(1, 7))
_PERMALINKS: Final = frozenset({"", "#", "\u00b6", "\u00a7", "\U0001f517", "\uf0c1"})


def to_markdown(root: Any) -> str:
    """Markdown of the element, which is changed on the way. Links and images must be absolute already."""
    import html_to_markdown
    from lxml import etree

    _tidy(root)
    source = etree.tostring(root, encoding="unicode", method="html", with_tail=False)
    options = html_to_markdown.ConversionOptions(
        extract_metadata=False, skip_images=True, bullets="-", autolinks=False, compact_tables=True, max_depth=400
    )
    found = html_to_markdown.convert(source, options).content or ""
    parts = _FENCED.split(found) if "```" in found else [found]
    parts[::2] = [_closed_up(part) for part in parts[::2]]
    return "".join(parts).strip()


def _closed_up(text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", _BEFORE_ITEM.sub(_between_items, lines))


def _between_items(gap: re.Match[str]) -> str:
    """No blank line, if what it parts from the next item is an item too."""
    line = gap.string.rfind("\n", 0, gap.start()) + 1
    return "\n" if _ITEM.match(gap.string, line, gap.start()) else gap[0]


def _tidy(root: Any) -> None:
    for numbers in [cell for cell in root.iter("td") if _is_line_number(cell)]:
        _without_numbers(numbers)
    for pre in list(root.iter("pre")):
        _plain_code(pre)
    for heading in list(root.iter(*_HEADINGS)):
        for anchor in list(heading.iter("a")):
            if "".join(anchor.itertext()).strip() in _PERMALINKS:
                anchor.drop_tree()
    for terms in list(root.iter("dl")):
        _as_list(terms)
    tidy_tables(root)


def _plain_code(pre: Any) -> None:
    """One code element with text alone: what highlights it, and numbers its lines, goes."""
    from lxml import etree

    language = _language(pre)
    for number in [part for part in pre.iter("span", "a", "td") if _is_line_number(part)]:
        number.drop_tree()
    for line_break in list(pre.iter("br")):
        line_break.tail = "\n" + (line_break.tail or "")
    text = "".join(pre.itertext())
    for child in list(pre):
        pre.remove(child)
    pre.text = None
    code = etree.SubElement(pre, "code")
    code.text = text
    if language:
        code.set("class", f"language-{language}")


def _without_numbers(numbers: Any) -> None:
    """A listing laid out as a table, of a cell of line numbers and one of code, is its code."""
    table = table_of(numbers)
    numbers.getparent().remove(numbers)
    for part in [table, *table.iter("tbody", "tr", "td")] if table is not None else []:
        part.tag = "div"


def _is_line_number(part: Any) -> bool:
    return re.search(r"(?:^|[\s-])(?:line-?numbers?|linenos?|gutter)(?:$|\s)", part.get("class") or "") is not None


def _language(pre: Any) -> str:
    """From the classes of the block, its code element, or the two elements around it."""
    around = [pre, *pre.iter("code"), *list(pre.iterancestors())[:2]]
    for element in around:
        for name in _LANGUAGE.findall(element.get("class") or ""):
            if name.casefold() not in _NO_LANGUAGES:
                return str(name)
        data = element.get("data-lang") or element.get("data-language") or ""
        if re.fullmatch(r"[\w+#]{1,20}", data):
            return str(data)
    return ""


def _as_list(terms: Any) -> None:
    """Markdown knows no terms: each becomes a bold paragraph, what defines it a paragraph or blocks after it."""
    for child in terms:
        if child.tag == "dt":
            child.tag = "p"
            _wrap(child, "strong")
        elif child.tag == "dd":
            child.tag = "div" if next(child.iterchildren(*_BLOCKS), None) is not None else "p"
    terms.tag = "div"


def _wrap(element: Any, tag: str) -> None:
    from lxml import etree

    inner = etree.Element(tag)
    inner.text = (element.text or "").lstrip()
    element.text = None
    for child in list(element):
        inner.append(child)
    if len(inner):
        inner[-1].tail = (inner[-1].tail or "").rstrip() or None
    else:
        inner.text = inner.text.rstrip()
    if inner.text or len(inner):
        element.append(inner)
