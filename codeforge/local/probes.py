"""How the supervisor tells that a part serves: one short exchange in the part's own protocol.

Each is written on plain sockets: the drivers' packages would cost the supervisor more memory than Valkey takes.
They raise OSError or answer False for "not yet", within a second.
"""

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import orjson

PROBE_S = 0.9
FRESH_S = 15.0
MAX_ANSWER = 1 << 20


async def redis_answers(host: str, port: int, password: str) -> bool:
    """Whether a Redis or Valkey answers PING to the password; False while it loads its data."""
    async with _connection(host, port) as (reader, writer):
        writer.write(_resp("AUTH", password) + _resp("PING"))
        await writer.drain()
        return await reader.readline() == b"+OK\r\n" and await reader.readline() == b"+PONG\r\n"


async def http_status(host: str, port: int, path: str) -> int:
    """The status of a GET."""
    status, _ = await _get(host, port, path, "")
    return status


async def http_json(host: str, port: int, path: str, *, credentials: tuple[str, str] | None = None) -> object:
    """The JSON body of a GET that answered 200; None for any other status."""
    authorization = ""
    if credentials is not None:
        token = base64.b64encode(":".join(credentials).encode()).decode()
        authorization = f"Authorization: Basic {token}\r\n"
    status, body = await _get(host, port, path, authorization)
    return orjson.loads(body) if status == 200 else None


def beats(health_file: Path) -> bool:
    """Whether a health file is there and was touched not long ago."""
    try:
        return time.time() - health_file.stat().st_mtime < FRESH_S
    except FileNotFoundError:
        return False


def _resp(*words: str) -> bytes:
    """A command in the Redis serialization protocol."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word.encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


async def _get(host: str, port: int, path: str, headers: str) -> tuple[int, bytes]:
    async with _connection(host, port) as (reader, writer):
        # HTTP/1.0: the answer ends with the connection, and comes in no chunks.
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\n{headers}Connection: close\r\n\r\n".encode())
        await writer.drain()
        answer = await reader.read(-1) if not reader.at_eof() else b""
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise ConnectionResetError("no HTTP answer")
    return int(words[1]), body


@contextlib.asynccontextmanager
async def _connection(host: str, port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection for one exchange that takes `PROBE_S` at most (TimeoutError is an OSError)."""
    async with asyncio.timeout(PROBE_S):
        reader, writer = await asyncio.open_connection(host, port, limit=MAX_ANSWER)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):  # what the peer does to a finished exchange does not matter
                await writer.wait_closed()
