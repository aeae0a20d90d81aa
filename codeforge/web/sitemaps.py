"""Sitemaps: the pages that a site itself names (https://www.sitemaps.org/protocol.html).

Read as XML without entities, networks or huge trees, after a cap on what they decompress to. What cannot be read names
nothing: a sitemap is a hint.
"""

import asyncio
import zlib
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final
from urllib.parse import urljoin

from codeforge.errors import FetchError
from codeforge.urls import canonical_url, is_web_url
from codeforge.web.robots import RawDownload

MAX_SITEMAPS: Final = 10
"""Files of one site that are read: an index and its parts."""

MAX_BYTES: Final = 10 * 1024 * 1024
MAX_PLACES: Final = 50_000
"""Addresses of one file that are looked at: the protocol's own limit."""

MAX_URL_CHARS: Final = 2_048
_GZIP: Final = b"\x1f\x8b"


async def sitemap_urls(starts: Sequence[str], download: RawDownload, *, limit: int, deadline: float) -> list[str]:
    """At most `limit` addresses from the sitemaps at `starts` and those that they name, each once, in their order."""
    waiting, read, found = deque(starts), set[str](), dict[str, str]()
    while waiting and len(read) < MAX_SITEMAPS and len(found) < limit:
        address = waiting.popleft()
        if address in read:
            continue
        read.add(address)
        try:
            body = await download(address, deadline)
        except FetchError:
            continue
        # A large file takes seconds, which no other task's page may wait for.
        pages, parts = await asyncio.to_thread(parse_sitemap, body, address)
        waiting.extend(parts)
        for page in pages:
            if len(found) < limit:
                found.setdefault(canonical_url(page), page)
    return list(found.values())


def parse_sitemap(body: bytes, address: str) -> tuple[list[str], list[str]]:
    """The pages and the further sitemaps that a file names; gzipped or not, XML or one address a line. Never raises."""
    text = _inflated(body)
    if text.lstrip()[:1] != b"<":
        lines = text[:MAX_BYTES].decode("utf-8", "replace").splitlines()
        return [page for line in lines[:MAX_PLACES] if (page := _usable(line, address))], []
    return _parsed(text, address)


def _parsed(text: bytes, address: str) -> tuple[list[str], list[str]]:
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, recover=True
    )
    try:
        root = etree.fromstring(text, parser)
    except (etree.LxmlError, ValueError):
        return [], []
    if root is None:
        return [], []
    pages, parts = list[str](), list[str]()
    for place in islice(root.iter("{*}loc"), MAX_PLACES):
        parent = place.getparent()
        kind = None if parent is None else etree.QName(parent).localname
        if kind not in ("url", "sitemap") or (url := _usable(place.text or "", address)) is None:
            continue
        (pages if kind == "url" else parts).append(url)
    return pages, parts


def _usable(text: str, address: str) -> str | None:
    text = text.strip()
    if not text or len(text) > MAX_URL_CHARS:
        return None
    try:
        url = urljoin(address, text)
    except ValueError:
        return None
    return url if len(url) <= MAX_URL_CHARS and is_web_url(url) else None


def _inflated(body: bytes) -> bytes:
    if not body.startswith(_GZIP):
        return body
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body, MAX_BYTES)
    except zlib.error:
        return b""
