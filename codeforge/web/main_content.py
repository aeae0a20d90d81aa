"""Which part of a page is its main content, as a pruned tree of its own elements.

trafilatura (https://trafilatura.readthedocs.io) decides what is content; it is good at that, and poor at form: it
flattens code, drops cells, and joins lists. So its text only marks elements of the page as content; what is kept are
the page's own elements around those marks, with their code, tables and lists, without what is navigation.
"""

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

from codeforge.web.tables import is_headed

_UNSEEN: Final = frozenset(
    {
        *("script", "style", "template", "noscript", "head", "svg", "iframe", "object", "embed", "canvas", "select"),
        *("button", "input", "textarea", "nav", "dialog", "audio", "video", "map", "menu", "datalist"),
    }
)
_ROLES: Final = frozenset(
    {"navigation", "banner", "contentinfo", "search", "dialog", "alertdialog", "alert", "menu", "menubar", "toolbar"}
)
_NAMES: Final = re.compile(
    r"(?:^|[\s_-])(?:cookies?|consent|gdpr|newsletter|subscribe|subscription|share|sharing|social|breadcrumbs?|"
    r"sidebar|side-bar|related|recommended|recommendations|pagination|pager|promo|advert|adverts|advertisement|ads?|"
    r"sponsored|popup|modal|overlay|skip-link|skip|sr-only|visually-hidden|screen-reader-text|site-footer|"
    r"site-header|menu|navbar|nav|navigation|toolbar|toc|table-of-contents|editsection|mw-editsection|noprint|"
    r"print-only|headerlink|anchor-link|permalink|author-bio|byline|post-meta|tags|tag-list|rating-widget|"
    r"feedback|helpful|was-this-helpful|copy-button|copybtn|tooltip|comment-form|reply-form|signup|login)(?=$|[\s_-])",
    re.IGNORECASE,
)
_FORM: Final = frozenset({"pre", "table", "ul", "ol", "dl", "blockquote", "figure", "math", "details"})
_LEAVES: Final = frozenset(
    {"p", "pre", "li", "td", "th", "dt", "dd", "figcaption", "blockquote", "caption", "summary"}
    | {f"h{level}" for level in range(1, 7)}
)
_CONTAINERS: Final = frozenset(
    {"html", "body", "div", "main", "article", "section", "form", "center", "table", "tbody"}
)
_WORDLESS: Final = bytes(code for code in range(128) if not chr(code).isalnum())

MIN_MARK_CHARS: Final = 12
"""Shorter texts stand somewhere in any content; they mark nothing by themselves."""

MOSTLY: Final = 0.97
LINK_SHARE: Final = 0.5
ALL_LINKS: Final = 0.9
MIN_SHARE: Final = 0.25
"""Of the page's running text, when what was found is less than this: then the whole page is taken, pruned."""


def main_content(tree: Any, found: str) -> Any:
    """A copy of the part of the page that `found`, the text that trafilatura took for the content, comes from: an
    element, pruned. The body itself where nothing was found, or far too little. `tree` is lxml's and stays as it is."""
    body = next(tree.iter("body"), tree)
    body = deepcopy(body)
    for panel in body.xpath(".//*[@role='tabpanel']"):  # one is shown at a time, and all are content
        for hiding in ("hidden", "aria-hidden", "style"):
            panel.attrib.pop(hiding, None)
    _drop(body, [element for element in body.iter() if _is_unseen(element)])
    marked = _marks(body, _words(found))
    if sum(marked.values()) < MIN_SHARE * _running_chars(body):
        marked = {}
    weights = _weights(marked)
    root = _root(body, weights, sum(marked.values()))
    heading = _heading_before(body, root)
    _prune(root, weights)
    if heading is not None:
        root.insert(0, heading)
        if root.text and root.text.strip():
            heading.tail, root.text = root.text, None
    return root


def _words(text: str) -> str:
    """Its letters and digits alone, in small letters."""
    if text.isascii():  # as most are; this takes a thirtieth of the time
        return text.encode().translate(None, _WORDLESS).decode().lower()
    return "".join(filter(str.isalnum, text)).casefold()


def text_of(element: Any) -> str:
    """All of the element's text."""
    text: str = element.text_content() if len(element) else element.text or ""
    return text


def _is_unseen(element: Any) -> bool:
    if not isinstance(element.tag, str):
        return True
    if element.tag == "button" and _sorts_column(element):
        return False
    if not element.keys():
        return element.tag in _UNSEEN
    if element.tag in _UNSEEN or element.get("hidden") is not None or element.get("aria-hidden") == "true":
        # Formulas and icons are hidden from screen readers; what reads like text is a drawer or a copy.
        return element.tag != "span" or element.get("hidden") is not None
    style = (element.get("style") or "").replace(" ", "").casefold()
    return element.get("role") in _ROLES or "display:none" in style or "visibility:hidden" in style


def _sorts_column(button: Any) -> bool:
    """Whether it is all that a header of a table says."""
    header = next(button.iterancestors("th"), None)
    return header is not None and text_of(header).strip() == text_of(button).strip()


def _drop(root: Any, elements: list[Any]) -> None:
    for element in elements:
        if element is not root and element.getparent() is not None:
            element.drop_tree()


def _marks(body: Any, found: str) -> dict[Any, int]:
    """Leaves whose text is part of `found`, and how long it is."""
    marks: dict[Any, int] = {}
    for leaf, text in _texts(body):
        words = _words(text)
        if len(words) >= MIN_MARK_CHARS and words in found:
            marks[leaf] = len(words)
    return marks


def _texts(body: Any) -> Iterator[tuple[Any, str]]:
    """Leaves with their texts, and other elements with what stands in them outside of any leaf."""
    for element in body.iter():
        if element.tag in _LEAVES and _first(element, "li") is None:
            yield element, text_of(element)
        else:
            own = "".join(part for part in [element.text, *(child.tail for child in element)] if part)
            if own.strip():
                yield element, own


def _first(element: Any, *tags: str) -> Any:
    """The first element of such a tag inside of it."""
    return next(element.iterdescendants(*tags), None) if len(element) else None


def _running_chars(body: Any) -> int:
    """Of the text that is in sentences rather than in links: what a page has to say at least."""
    return sum(
        len(_words(text_of(leaf))) for leaf in body.iter("p", "pre", "td", "li", "dd") if _link_share(leaf) < LINK_SHARE
    )


def _weights(marks: dict[Any, int]) -> dict[Any, int]:
    """How much marked text is in each element."""
    weights: dict[Any, int] = {}
    for leaf, chars in marks.items():
        element = leaf
        while element is not None:
            weights[element] = weights.get(element, 0) + chars
            element = element.getparent()
    return weights


def _root(body: Any, weights: dict[Any, int], total: int) -> Any:
    """The smallest container that has nearly all that is marked."""
    root = body
    while total:
        inner = next((child for child in root if weights.get(child, 0) >= MOSTLY * total), None)
        if inner is None or not (inner.tag in _CONTAINERS or _lays_out(inner)):
            break
        root = inner
    return root.getparent() if root.tag in ("tbody", "table", "tr") and root.getparent() is not None else root


def _lays_out(cell: Any) -> bool:
    """Whether it is a part of a table that arranges a page: one with paragraphs or headings in it."""
    return cell.tag in ("tr", "td") and _first(cell, "p", "h1", "h2", "div") is not None


def _heading_before(body: Any, root: Any) -> Any:
    """A copy of the page's one first-level heading where the content has none and it stands before it."""
    headings = list(body.iter("h1"))
    inside = {heading for heading in headings if root is heading or root in heading.iterancestors()}
    if len(headings) != 1 or inside or not text_of(headings[0]).strip():
        return None
    copy = deepcopy(headings[0])
    copy.tail = None
    return copy


def _prune(root: Any, weights: dict[Any, int]) -> None:
    """Drops what is no content: by what it is called, or because it is mostly links. What holds a good part of the
    marked text stays, whatever it is called."""
    total = max(1, weights.get(root, 0))
    pending = [(root, False)]
    while pending:
        element, data = pending.pop()
        for child in list(element):
            marked = weights.get(child, 0)
            inside = data or (child.tag == "table" and is_headed(child))  # links are data there
            named = marked * 3 < total and _is_named_boilerplate(child)
            if named or (not marked and not inside and total > 1 and _is_mostly_links(child)):
                child.drop_tree()
            elif child.tag != "pre":
                pending.append((child, inside))


def _is_named_boilerplate(element: Any) -> bool:
    if element.tag in ("aside", "footer", "header"):
        return element.tag != "header" or _first(element, "h1") is None
    if element.tag in ("a", "span", "code", "pre", "td", "th", "tr", "tbody", "html", "body", "main", "article"):
        names = element.get("class") or ""
        return (
            element.tag in ("a", "span")
            and re.search(r"headerlink|anchor|permalink|editsection|\bbutton|__button|\bbtn", names) is not None
        )
    return _NAMES.search(f"{element.get('class') or ''} {element.get('id') or ''}") is not None


def _is_mostly_links(element: Any) -> bool:
    """Blocks only, and paragraphs that are nothing but links."""
    if element.tag == "p":
        return _link_share(element) >= ALL_LINKS
    if element.tag not in ("div", "section", "ul", "ol", "form", "dl", "table"):
        return False
    if _first(element, "pre", "code") is not None:
        return False
    return bool(text_of(element).strip()) and _link_share(element) >= LINK_SHARE


def _link_share(element: Any) -> float:
    if not len(element):
        return 0.0
    linked = sum(len(_words(text_of(anchor))) for anchor in element.iter("a"))
    return linked / len(_words(text_of(element))) if linked else 0.0
