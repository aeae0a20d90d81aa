"""From a page's text to its title, main content as Markdown, and links.

trafilatura and lxml are imported by the first page, not by this module: processes that never scrape, the API among
them, do not pay their memory. Everything here blocks and computes: call it off the event loop.
"""

import hashlib
import logging
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from urllib.parse import urldefrag, urljoin

from codeforge.web.plain_text import page_text

MAX_LINKS: Final = 5_000
MAX_LINK_CHARS: Final = 2_048
MAX_LINKS_CHARS: Final = 500_000
MAX_TITLE_CHARS: Final = 500
MAX_ELEMENTS: Final = 30_000
"""trafilatura takes about 0.1 ms an element; pages with more of them give their plain text instead."""
_NOTHING: Final = "<html><body></body></html>"


@dataclass(frozen=True, slots=True)
class Extract:
    """What a page says. `links` are absolute http(s) URLs without fragments, each once, in page order: the first
    `MAX_LINKS`, or as many as `MAX_LINKS_CHARS` hold. `content_hash` is the SHA-256 of the Markdown, in hex."""

    title: str
    markdown: str
    links: list[str]
    content_hash: str


def extract_html(text: str, url: str) -> Extract:
    """Extracts a decoded HTML page. `url` is its own, which relative links start from unless `<base href>` says
    otherwise. Markup that is no document gives an empty extract; no markup raises."""
    tree = _parse(text)
    title = _title(tree)
    links = _absolute_links(tree, url)
    markdown = _main_content(tree, url)
    if not markdown or _lost_its_form(markdown):
        markdown = page_text(tree)
    return Extract(title, markdown, links, content_hash(markdown))


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

    # As bytes, because lxml refuses text that declares an encoding; without a network and without huge trees.
    parser = html.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True)
    try:
        return html.document_fromstring(text.encode(), parser=parser)
    except etree.ParserError:  # nothing but whitespace or comments
        return html.document_fromstring(_NOTHING, parser=parser)


def _title(tree: Any) -> str:
    candidates = (
        *tree.xpath("//head//title/text()"),
        *tree.xpath("//meta[@property='og:title']/@content"),
        *(heading.text_content() for heading in tree.xpath("//h1")),
    )
    titles = (" ".join(candidate.split()) for candidate in candidates)
    return next((title for title in titles if title), "")[:MAX_TITLE_CHARS]


def _absolute_links(tree: Any, url: str) -> list[str]:
    """All links, those outside of the main content too. The tree's become absolute as well, for the Markdown."""
    base = next((_join(url, href) for href in tree.xpath("//base/@href")), None) or url
    links: dict[str, None] = {}
    chars_left = MAX_LINKS_CHARS
    for anchor in tree.iter("a", "area"):
        href = anchor.get("href")
        absolute = _join(base, href) if href is not None else None
        if absolute is None:
            continue
        anchor.set("href", absolute)
        link = urldefrag(absolute).url
        if link not in links and len(links) < MAX_LINKS and len(link) <= min(MAX_LINK_CHARS, chars_left):
            links[link] = None
            chars_left -= len(link)
    return list(links)


def _join(base: str, href: str) -> str | None:
    """The absolute URL, or None for what does not lead to a page."""
    try:
        # Browsers drop these inside of a URL (WHATWG URL, 4.4), and authors do break lines there.
        joined = urljoin(base, "".join(part for part in href.strip() if part not in "\t\n\r"))
    except ValueError:  # such as "http://[broken"
        return None
    scheme, mark, rest = joined.partition("://")
    return f"{scheme.lower()}://{rest}" if mark and scheme.lower() in ("http", "https") and rest else None


def _main_content(tree: Any, url: str) -> str:
    if next(islice(tree.iter(), MAX_ELEMENTS, None), None) is not None:
        return ""
    import trafilatura

    # What a page has wrong with it is no business of this service's log.
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    found = trafilatura.extract(
        tree,
        url=url,
        output_format="markdown",
        include_links=True,
        include_tables=True,
        include_formatting=True,
        deduplicate=False,
    )
    return (found or "").strip()


def _lost_its_form(markdown: str) -> bool:
    """Whether trafilatura found too little and gave the bare texts of all elements, each on a line, even those in the
    middle of a sentence. Its Markdown has empty lines between blocks, or is a list or a table."""
    lines = markdown.split("\n")
    return len(lines) > 1 and all(lines) and not lines[0].startswith(("- ", "1. ", "|", "#", "```", ">"))
