"""By what a page can be asked for again, and for how long its server calls it fresh (RFC 9110, 13; RFC 9111, 5.2)."""

import re
from collections.abc import Mapping

from codeforge.results import ResultModel

MAX_CHARS = 1_024
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?([0-9]{1,9})", re.I)
_NO_STORE = re.compile(r"(?:^|[,\s])no-store\b", re.I)
_NO_CACHE = re.compile(r"(?:^|[,\s])no-cache\b", re.I)


class Validators(ResultModel):
    """`ETag` and `Last-Modified` as a server gave them for `url`; empty where it gave none."""

    url: str = ""
    etag: str = ""
    last_modified: str = ""

    @classmethod
    def of(cls, url: str, headers: Mapping[str, str]) -> "Validators":
        """Of an answer's headers, which have small names."""
        etag, modified = headers.get("etag", "").strip(), headers.get("last-modified", "").strip()
        return cls(url=url, etag=_sendable(etag), last_modified=_sendable(modified))

    def headers_for(self, url: str) -> dict[str, str]:
        """What asks whether the page changed; nothing for another address than the one that they are of."""
        if url != self.url:
            return {}
        asked = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in asked.items() if value}


def fresh_s(headers: Mapping[str, str]) -> float:
    """For how many seconds the server calls its answer fresh; 0 where it does not say."""
    control = headers.get("cache-control", "")
    found = _MAX_AGE.search(control)
    return 0.0 if found is None or _NO_CACHE.search(control) else float(found[1])


def may_be_kept(headers: Mapping[str, str]) -> bool:
    """Whether the server lets its answer be stored."""
    return not _NO_STORE.search(headers.get("cache-control", ""))


def _sendable(value: str) -> str:
    return value if len(value) <= MAX_CHARS and value.isascii() and value.isprintable() else ""
