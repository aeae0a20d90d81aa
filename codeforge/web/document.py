"""A downloaded page and what becomes of it."""

from dataclasses import dataclass

from codeforge.errors import FetchError
from codeforge.results import Page
from codeforge.web.charset import decode
from codeforge.web.extraction import Extract, extract_html, extract_text
from codeforge.web.judgement import Finding, judge
from codeforge.web.media_type import MediaType
from codeforge.web.metadata import MAX_AUTHOR_CHARS, MAX_TITLE_CHARS, Metadata
from codeforge.web.pdf import read_pdf

MAX_TEXT_BYTES = 2 * 1024 * 1024
"""A page must fit into a step of the task's journal, quoted as JSON, with its links."""


MAX_PAGE_BYTES = 4 * 1024 * 1024
"""The same, of the whole page."""


@dataclass(frozen=True, slots=True)
class Download:
    """A page as it arrived, decompressed. `url` is the one asked for, `final_url` the one that answered."""

    url: str
    final_url: str
    status: int
    media_type: MediaType
    body: bytes


def read_page(download: Download, *, judged: bool) -> tuple[Page, Finding | None]:
    """The page, and if it is to be judged, what keeps it from being what a reader would see. Raises as `to_page`."""
    page = to_page(download)
    if len(page.model_dump_json()) > MAX_PAGE_BYTES:
        message = f"the page takes more than {MAX_PAGE_BYTES} bytes as JSON"
        raise FetchError(message, code="too_large", url=download.url)
    if not judged or not download.media_type.html:
        return page, None
    return page, judge(_text_of(download), len(page.markdown))


def to_page(download: Download) -> Page:
    """Decodes and extracts; blocks for milliseconds to seconds. Raises FetchError: `bad_response` for what defeats the
    parser, `too_large` for more than `MAX_TEXT_BYTES` of Markdown."""
    try:
        extract, cut = _extracted(download)
    except (RecursionError, ValueError, TypeError, AttributeError, LookupError) as exc:  # the libraries'
        raise FetchError("the page cannot be parsed", code="bad_response", url=download.url) from exc
    if len(extract.markdown.encode()) > MAX_TEXT_BYTES:
        raise FetchError(f"the page's text is larger than {MAX_TEXT_BYTES} bytes", code="too_large", url=download.url)
    return Page(
        url=download.url,
        final_url=download.final_url,
        status_code=download.status,
        title=extract.title,
        author=extract.metadata.author,
        date=extract.metadata.date,
        language=extract.metadata.language,
        json_ld=extract.metadata.json_ld,
        markdown=extract.markdown,
        truncated=cut,
        links=extract.links,
        content_hash=extract.content_hash,
    )


def _extracted(download: Download) -> tuple[Extract, bool]:
    """The extract, and whether there was more than it holds."""
    if download.media_type.html:
        return extract_html(_text_of(download), download.final_url), False
    if not download.media_type.pdf:
        return extract_text(_text_of(download)), False
    found = read_pdf(download.body)
    text = extract_text(found.text)
    about = Metadata(author=found.author[:MAX_AUTHOR_CHARS], date=found.date)
    return Extract(found.title[:MAX_TITLE_CHARS], text.markdown, [], text.content_hash, about), found.cut


def _text_of(download: Download) -> str:
    return decode(download.body, download.media_type.charset, html=download.media_type.html)
