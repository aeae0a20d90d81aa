"""Content-Type headers, and which of them is a page."""

import re
from dataclasses import dataclass

HTML = "text/html"
PDF = "application/pdf"
_HTML_TYPES = frozenset({HTML, "application/xhtml+xml"})
_TEXT_TYPES = frozenset({"text/plain", "text/markdown", "text/x-markdown"})
_CHARSET = re.compile(r";\s*charset\s*=\s*(?:\"([^\"]*)\"|([^;\s]*))", re.IGNORECASE)
_MARKUP = re.compile(
    rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype html|html|head|body|\?xml|title|h1|div|p|table)\b", re.I | re.S
)


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type without parameters, in small letters, and the `charset` parameter, if any (RFC 9110, 8.3)."""

    name: str
    charset: str | None = None

    @classmethod
    def parse(cls, header: str) -> "MediaType":
        """Never fails: a missing header gives an empty name."""
        name = header.partition(";")[0].strip().lower()
        match = _CHARSET.search(header)
        return cls(name, (match[1] or match[2] or None) if match else None)

    @property
    def html(self) -> bool:
        """Whether it is HTML or XHTML."""
        return self.name in _HTML_TYPES

    @property
    def pdf(self) -> bool:
        """Whether it is a PDF."""
        return self.name == PDF

    @property
    def readable(self) -> bool:
        """Whether a page of this type can be extracted; a missing type is decided by the body."""
        return self.html or self.pdf or self.name in _TEXT_TYPES or not self.name

    def settled(self, body: bytes) -> "MediaType":
        """Itself, or for a missing type the one that the body looks like: HTML, PDF, plain text, or none of them."""
        if self.name:
            return self
        start = body[:1_024]
        if start.startswith(b"%PDF-"):
            return MediaType(PDF)
        if b"\x00" in start:
            return MediaType("application/octet-stream")
        return MediaType(HTML if _MARKUP.search(start) else "text/plain")
