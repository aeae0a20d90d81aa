"""From a page's text to its title, main content as Markdown, and links.

Everything here blocks and computes, for seconds where a page is large: it runs in a process of its own (extractor.py).
trafilatura, lxml and html-to-markdown are imported by the first page, so that no other process pays their memory.
"""

import hashlib
import logging
import re
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import chain, islice
from typing import Any, Final
from urllib.parse import urldefrag, urljoin, urlsplit

from codeforge.web.main_content import main_content, text_of
from codeforge.web.markdown import to_markdown
from codeforge.web.metadata import MAX_TITLE_CHARS, Metadata, metadata_of
from codeforge.web.plain_text import page_text

MAX_LINKS: Final = 5_000
MAX_LINK_CHARS: Final = 2_048
MAX_LINKS_CHARS: Final = 500_000
MAX_ELEMENTS: Final = 30_000
"""trafilatura takes about 0.1 ms an element; of pages with more of them the whole body is kept, pruned."""

MAX_FORMED_ELEMENTS: Final = 60_000
MAX_FORMED_DEPTH: Final = 250
"""Pages with more, or deeper, give their plain text."""

_LEFT_OUT: Final = dict.fromkeys(map(ord, "\t\n\r"))
_SOME: Final = "-"  # any fragment
_FROM_ROOT: Final = re.compile(r"/(?:[\w%~-][\w%.~-]*/)*(?:[\w%~-][\w%.~-]*)?", re.ASCII)
"""Paths that are as long as they look: no `..` in them, and no empty parts."""
_NOTHING: Final = "<html><body></body></html>"


@dataclass(frozen=True, slots=True)
class Extract:
    """What a page says. `links` are absolute http(s) URLs without fragments, each once, in page order: the first
    `MAX_LINKS`, or as many as `MAX_LINKS_CHARS` hold. `content_hash` is the SHA-256 of the Markdown, in hex."""

    title: str
    markdown: str
    links: list[str]
    content_hash: str
    metadata: Metadata = field(default_factory=Metadata)


def extract_html(text: str, url: str) -> Extract:
    """Extracts a decoded HTML page. `url` is its own, which relative links start from unless `<base href>` says
    otherwise. Markup that is no document gives an empty extract; no markup raises."""
    tree = _parse(text)
    metadata = metadata_of(tree)
    links = _absolute_links(tree, url)
    markdown = _markdown(tree, url)
    return Extract(metadata.title, markdown, links, content_hash(markdown), metadata)


def extract_text(text: str) -> Extract:
    """Takes plain text or Markdown as it is; a first line that is a Markdown heading is the title."""
    markdown = text.strip()
    first, _, _ = markdown.partition("\n")
    title = first.lstrip("#").strip() if first.startswith("# ") else ""
    return Extract(title[:MAX_TITLE_CHARS], markdown, [], content_hash(markdown))


def content_hash(markdown: str) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(markdown.encode()).hexdigest()


def _parse(text: str) -> Any:
    from lxml import etree, html

    # As bytes, because lxml refuses text that declares an encoding; without a network. Pages have a cap of their own;
    # without `huge_tree`, all that follows the 256th open element (authors do forget to close theirs) would be lost.
    parser = html.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=True)
    # lxml.html's own asks Python for the class of every element that is looked at, for the sake of forms.
    parser.set_element_class_lookup(etree.ElementDefaultClassLookup(element=html.HtmlElement))
    try:
        return html.document_fromstring(text.encode(), parser=parser)
    except etree.ParserError:  # nothing but whitespace or comments
        return html.document_fromstring(_NOTHING, parser=parser)


def _absolute_links(tree: Any, url: str) -> list[str]:
    """All links, those outside of the main content too. The tree's become absolute as well, for the Markdown."""
    start = next((_Addresses(url).of(href) for href in tree.xpath("//base/@href")), None)
    addresses = _Addresses(url if start is None else start[0])
    links: dict[str, None] = {}
    chars_left = MAX_LINKS_CHARS
    for anchor in tree.iter("a", "area"):
        href = anchor.get("href")
        found = addresses.of(href) if href is not None else None
        if found is None:
            continue
        absolute, link = found
        anchor.set("href", absolute)
        if link not in links and len(links) < MAX_LINKS and len(link) <= min(MAX_LINK_CHARS, chars_left):
            links[link] = None
            chars_left -= len(link)
    return list(links)


class _Addresses:
    """Absolute addresses, from one base. Pages lead many times to one address, and to many places in one: each is
    joined once."""

    def __init__(self, base: str) -> None:
        self._joined = cache(partial(_joined, base))
        self._root = _root(base)

    def of(self, href: str) -> tuple[str, str] | None:
        """The URL as it is and without its fragment, or None for what does not lead to a page."""
        # Browsers drop these inside of a URL (WHATWG URL, 4.4), and authors do break lines there.
        address, mark, fragment = href.strip().translate(_LEFT_OUT).partition("#")
        if self._root and _FROM_ROOT.fullmatch(address):  # as most are; this takes a sixth of the time
            link = self._root + address
            return f"{link}#{fragment}" if fragment else link, link
        found = self._joined(address, f"{mark}{_SOME if fragment else ''}")
        return found and (found[0] + fragment, found[1])


def _root(base: str) -> str:
    """The site of a base, such as `https://example.org`, before a path from its root; "" where it has none."""
    try:
        parts = urlsplit(base)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") and parts.netloc else ""


def _joined(base: str, address: str, end: str) -> tuple[str, str] | None:
    """See `_Addresses.of`. `end` stands for the fragment; the first of the two ends where the fragment begins."""
    try:
        joined = urljoin(base, address + end)
    except ValueError:  # such as "http://[broken"
        return None
    scheme, mark, rest = joined.partition("://")
    if not mark or scheme.lower() not in ("http", "https") or not rest:
        return None
    absolute = f"{scheme.lower()}://{rest}"
    return absolute.removesuffix(_SOME) if end.endswith(_SOME) else absolute, urldefrag(absolute).url


def _markdown(tree: Any, url: str) -> str:
    if _has_more_than(tree, MAX_FORMED_ELEMENTS) or _is_deep(tree):
        return page_text(tree)
    found = "" if _has_more_than(tree, MAX_ELEMENTS) else _main_text(tree, url)
    content = main_content(tree, found)
    markdown = to_markdown(content) if text_of(content).strip() else ""
    # Of a page that is named like its own navigation all may have gone: rather too much than nothing.
    return markdown or page_text(tree)


def _has_more_than(tree: Any, elements: int) -> bool:
    return next(islice(tree.iter(), elements, None), None) is not None


def _is_deep(tree: Any) -> bool:
    """Whether some element has more than MAX_FORMED_DEPTH others around it."""
    return bool(tree.xpath(f"boolean({'/*' * MAX_FORMED_DEPTH})"))


def _main_text(tree: Any, url: str) -> str:
    """The text that trafilatura takes for the page's content."""
    import trafilatura

    # What a page has wrong with it is no business of this service's log.
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    extract = partial(trafilatura.bare_extraction, tree, url=url, output_format="txt")
    return _text_found(extract(include_comments=False)) or _text_found(extract(favor_recall=True))


def _text_found(document: Any) -> str:
    """Of trafilatura's elements. To make lines of them takes it a tenth of its time; only words are needed."""
    parts = [] if document is None else [document.body, document.commentsbody]
    return "".join(chain.from_iterable(part.itertext() for part in parts)).strip()
