"""A downloaded page and what becomes of it."""

from dataclasses import dataclass

from codeforge.errors import FetchError
from codeforge.results import Page
from codeforge.web.charset import decode
from codeforge.web.extraction import extract_html, extract_text
from codeforge.web.media_type import MediaType

MAX_TEXT_BYTES = 2 * 1024 * 1024
"""A page must fit into a step of the task's journal, quoted as JSON, with its links."""


@dataclass(frozen=True, slots=True)
class Download:
    """A page as it arrived, decompressed. `url` is the one asked for, `final_url` the one that answered."""

    url: str
    final_url: str
    status: int
    media_type: MediaType
    body: bytes


def to_page(download: Download) -> Page:
    """Decodes and extracts; blocks for milliseconds to seconds. Raises FetchError: `bad_response` for markup that
    defeats the parser, `too_large` for more than `MAX_TEXT_BYTES` of Markdown."""
    text = decode(download.body, download.media_type.charset, html=download.media_type.html)
    try:
        extract = extract_html(text, download.final_url) if download.media_type.html else extract_text(text)
    except (RecursionError, ValueError, TypeError, AttributeError, LookupError) as exc:  # lxml's and trafilatura's
        raise FetchError("the page cannot be parsed", code="bad_response", url=download.url) from exc
    if len(extract.markdown.encode()) > MAX_TEXT_BYTES:
        raise FetchError(f"the page's text is larger than {MAX_TEXT_BYTES} bytes", code="too_large", url=download.url)
    return Page(
        url=download.url,
        final_url=download.final_url,
        status_code=download.status,
        title=extract.title,
        markdown=extract.markdown,
        links=extract.links,
        content_hash=extract.content_hash,
    )
