"""The text of a PDF, by PDFium (the library of Chromium; docs/adr/0016-extraction.md).

PDFium is native code that reads what strangers wrote: it runs in the extraction's process only, which has bounds of its
own and may die.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

MAX_PAGES: Final = 300
MAX_TEXT_CHARS: Final = 1_500_000
_FULL_LINE: Final = 0.75
_ENDS: Final = (".", "!", "?", ":", "\u3002", '"', "\u201d")
_BULLET: Final = re.compile(r"^\s*[\u2022\u25cf\u25aa\u2013*-]\s+")
_PDF_DATE: Final = re.compile(r"(?:D:)?(\d{4})(\d{2})(\d{2})")


@dataclass(frozen=True, slots=True)
class PdfText:
    """`text` has an empty line between paragraphs. `cut`: it has more pages or text than is read."""

    title: str
    author: str
    date: str
    text: str
    cut: bool


def read_pdf(body: bytes) -> PdfText:
    """Raises ValueError for what is no PDF that can be read: damaged, or locked by a password."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(body)
    except pypdfium2.PdfiumError as error:
        raise ValueError("the PDF is damaged, or locked by a password") from error
    try:
        pages = len(document)
        parts: list[str] = []
        room = MAX_TEXT_CHARS
        for number in range(min(pages, MAX_PAGES)):
            text = _page_text(document, number)[:room]
            room -= len(text)
            parts.append(text)
            if not room:
                break
        about = document.get_metadata_dict()
        return PdfText(
            title=" ".join(about.get("Title", "").split()),
            author=" ".join(about.get("Author", "").split()),
            date=_date(about.get("CreationDate", "")),
            text="\n\n".join(part for part in parts if part),
            cut=pages > MAX_PAGES or not room,
        )
    finally:
        document.close()


def _page_text(document: Any, number: int) -> str:
    import pypdfium2

    try:
        page = document[number]
        text_page = page.get_textpage()
        text = text_page.get_text_range()
    except pypdfium2.PdfiumError:  # one broken page among others
        return ""
    text_page.close()
    page.close()
    return _paragraphs(text.replace("\r\n", "\n").replace("\r", "\n"))


def _paragraphs(text: str) -> str:
    """Lines joined to paragraphs: one ends at an empty line, before a bullet, and after a line that is short or ends a
    sentence well before the margin. A word that is divided at a line's end (PDFium marks it with U+0002 or U+FFFE)
    becomes whole."""
    lines = [line.strip() for line in text.split("\n")]
    width = max((len(line) for line in lines), default=0)
    paragraphs: list[str] = []
    held = ""
    for line in lines:
        bullet = _BULLET.match(line)
        if held and (not line or bullet):
            paragraphs.append(held)
            held = ""
        line = f"- {line[bullet.end() :]}" if bullet else line
        held = _appended(held, line)
        if held and not held.endswith(("\x02", "\ufffe")) and len(line) < _FULL_LINE * width:
            paragraphs.append(held)
            held = ""
    paragraphs.append(held)
    return "\n\n".join(part for part in paragraphs if part)


def _appended(held: str, line: str) -> str:
    if held.endswith(("\x02", "\ufffe")):
        return held[:-1] + line
    return f"{held} {line}" if held and line else held + line


def _date(text: str) -> str:
    match = _PDF_DATE.match(text)
    return "-".join(match.groups()) if match else ""
