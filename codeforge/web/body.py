"""Reading a response's body with a cap on what it decompresses to.

httpx inflates each network chunk whole, so that 64 KiB of gzip become up to 64 MiB before anyone can count them; here
no step makes more than one byte above the cap. Content codings: RFC 9110, 8.4.1.
"""

import zlib
from collections.abc import AsyncIterator

from codeforge.errors import FetchError

ACCEPT_ENCODING = "gzip, deflate"
MAX_CODINGS = 2


async def read_body(chunks: AsyncIterator[bytes], content_encoding: str, *, cap: int, url: str) -> bytes:
    """The whole body, decompressed. `cap` counts bytes, before and after. Raises FetchError: `too_large`, or
    `bad_response` for a coding that was not asked for and for damaged data; `url` names the page in it."""
    codings = [coding.strip().lower() for coding in content_encoding.split(",")]
    codings = [coding for coding in codings if coding not in ("", "identity")]
    if len(codings) > MAX_CODINGS:
        raise _bad_response("is compressed more than twice", url)
    inflaters = [_Inflater(coding, cap, url) for coding in reversed(codings)]
    body = bytearray()
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        data = chunk
        for inflater in inflaters:
            data = inflater.feed(data)
        body += data
        if max(received, len(body)) > cap:
            raise too_large(cap, url)
    for inflater in inflaters:
        inflater.finish()
    return bytes(body)


def too_large(cap: int, url: str) -> FetchError:
    """The error of a page above the cap."""
    return FetchError(f"the page is larger than {cap} bytes", code="too_large", url=url)


class _Inflater:
    def __init__(self, coding: str, cap: int, url: str) -> None:
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise _bad_response(f"has the coding {coding[:20]!r}, which was not asked for", url)
        self._deflate = coding == "deflate"
        self._cap = cap
        self._url = url
        self._made = 0
        self._started = False
        self._stream = zlib.decompressobj(zlib.MAX_WBITS if self._deflate else zlib.MAX_WBITS | 16)

    def feed(self, data: bytes) -> bytes:
        """What `data` inflates to. What follows the end of the compressed data is ignored, as browsers do."""
        if not data or self._stream.eof:
            return b""
        left = self._cap - self._made + 1
        try:
            made = self._stream.decompress(data, left)
        except zlib.error as exc:
            if not self._deflate or self._started:
                raise _bad_response("has damaged compressed data", self._url) from exc
            # Some servers send raw deflate data where RFC 9110 asks for the zlib format.
            self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
            self._started = True
            return self.feed(data)
        self._started = True
        self._made += len(made)
        if self._made > self._cap:
            raise too_large(self._cap, self._url)
        return made

    def finish(self) -> None:
        """Raises FetchError when the compressed data ended too early."""
        if self._started and not self._stream.eof:
            raise _bad_response("has compressed data that is cut off", self._url)


def _bad_response(why: str, url: str) -> FetchError:
    return FetchError(f"the page {why}", code="bad_response", url=url)
