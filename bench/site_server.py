"""Ten hosts of one site on loopback, an event loop for all: each page takes its time, and each host keeps a log.

`python -m bench.site_server HOSTS` takes so many free ports, prints them, and serves an article at any path of each.
`/log` answers what the host saw, as JSON with `requests` and `most_at_once`, and forgets it.
"""

import asyncio
import json
import sys
from dataclasses import dataclass

from tests.servers.articles import BICYCLE, BREAD, VOLCANO, article

PAGE_S = 0.2
PARAGRAPHS = 6
ROBOTS = b"User-agent: *\nDisallow: /private\n"


@dataclass
class Log:
    """What one host saw since it was last asked."""

    requests: int = 0
    at_once: int = 0
    most_at_once: int = 0


class Host:
    """One port's server."""

    def __init__(self) -> None:
        self._log = Log()
        self._connections: set[asyncio.Task[None] | None] = set()  # the loop's own references to them are weak

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        self._connections.add(asyncio.current_task())
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ", 2)[1].decode()
                writer.write(await self._answer(path))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._connections.discard(asyncio.current_task())
            writer.close()

    async def _answer(self, path: str) -> bytes:
        if path == "/log":
            log, self._log = self._log, Log()
            return _response(json.dumps({"requests": log.requests, "most_at_once": log.most_at_once}).encode(), "json")
        log = self._log
        log.requests += 1
        log.at_once += 1
        log.most_at_once = max(log.most_at_once, log.at_once)
        try:
            await asyncio.sleep(PAGE_S)
        finally:
            log.at_once -= 1
        if path == "/robots.txt":
            return _response(ROBOTS, "plain")
        return _response(page(path), "html")


def page(path: str) -> bytes:
    """An article of some kilobytes, another one for each path."""
    blocks = [block for _ in range(PARAGRAPHS) for block in (*BREAD, *VOLCANO, *BICYCLE)]
    links = [(f"/{number}", f"Page {number}") for number in range(20)]
    return article(f"Page {path}", [f"This is the page at {path}.", *blocks], links).encode()


def _response(body: bytes, kind: str) -> bytes:
    content_type = "application/json" if kind == "json" else f"text/{kind}; charset=utf-8"
    return (f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


async def main(hosts: int) -> None:
    """Serves until it is ended."""
    servers = [await asyncio.start_server(Host().serve, "127.0.0.1", 0, backlog=512) for _ in range(hosts)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), "serving", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
