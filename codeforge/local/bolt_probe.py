"""Whether a Bolt server serves: one exchange, written on a plain socket for the reason that `probes` gives.

Formats: https://neo4j.com/docs/bolt/current/bolt/message/ (version 4.4) and
https://neo4j.com/docs/bolt/current/packstream/.
"""

import asyncio
import contextlib
import struct

from codeforge.local.probes import PROBE_S

MAGIC = b"\x60\x60\xb0\x17"
VERSION = b"\x00\x00\x04\x04"
HELLO, RUN, PULL = 0x01, 0x10, 0x3F
RECORD, SUCCESS = 0x71, 0x70


async def bolt_answers(host: str, port: int, user: str, password: str, database: str) -> bool:
    """Whether the database answers `RETURN 1` to these credentials. Raises OSError when nothing listens or the
    answer takes longer than `PROBE_S` seconds."""
    credentials = {"user_agent": "codeforge", "scheme": "basic", "principal": user, "credentials": password}
    async with asyncio.timeout(PROBE_S):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(MAGIC + VERSION + bytes(12))
            if await reader.readexactly(4) != VERSION:
                return False
            writer.write(_message(HELLO, credentials))
            if await _answer(reader) != SUCCESS:
                return False
            writer.write(_message(RUN, "RETURN 1", {}, {"db": database}) + _message(PULL, {"n": -1}))
            for expected in (SUCCESS, RECORD, SUCCESS):
                if await _answer(reader) != expected:
                    return False
            return True
        except asyncio.IncompleteReadError:  # the server closed the connection
            return False
        finally:
            writer.close()
            with contextlib.suppress(OSError):  # what the peer does to a finished exchange does not matter
                await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader) -> int:
    """The kind of the next message: the second byte of its structure."""
    message = b""
    while chunk := int.from_bytes(await reader.readexactly(2)):
        message += await reader.readexactly(chunk)
    return message[1] if len(message) > 1 else 0


def _message(kind: int, *fields: object) -> bytes:
    """One message in one chunk."""
    body = bytes([0xB0 + len(fields), kind]) + b"".join(_packed(field) for field in fields)
    return struct.pack(">H", len(body)) + body + b"\x00\x00"


def _packed(value: object) -> bytes:
    """PackStream of what the messages here hold: texts up to 64 kB, maps up to 15 entries, integers down to -16."""
    match value:
        case str():
            data = value.encode()
            return b"\xd1" + struct.pack(">H", len(data)) + data
        case int():
            return struct.pack(">b", value)
        case dict():
            return bytes([0xA0 + len(value)]) + b"".join(_packed(part) for pair in value.items() for part in pair)
        case _:
            raise TypeError(f"no PackStream for {type(value).__name__} here")
