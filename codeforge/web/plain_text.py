"""The text of a parsed page as a reader sees it, block by block: for pages too small to have a main content."""

from typing import Any

_UNSEEN = frozenset({"script", "style", "template", "noscript", "head", "svg", "iframe", "object", "select"})
_BLOCKS = frozenset(
    {
        *("address", "article", "aside", "blockquote", "body", "br", "dd", "div", "dl", "dt", "fieldset", "figcaption"),
        *("figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol"),
        *("p", "pre", "section", "table", "td", "th", "tr", "ul"),
    }
)


def page_text(tree: Any) -> str:
    """Paragraphs of the body, an empty line between them; whitespace inside is collapsed. `tree` is lxml's."""
    from lxml import etree

    paragraphs: list[str] = []
    words: list[str] = []

    def end_block() -> None:
        paragraph = " ".join("".join(words).split())
        words.clear()
        if paragraph:
            paragraphs.append(paragraph)

    walk = etree.iterwalk(tree, events=("start", "end"))
    for event, element in walk:
        if element.tag in _BLOCKS:
            end_block()
        if event == "start":
            if element.tag in _UNSEEN:
                walk.skip_subtree()
            else:
                words.append(element.text or "")
        else:
            words.append(element.tail or "")
    end_block()
    return "\n\n".join(paragraphs)
