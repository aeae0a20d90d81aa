"""Reading a request's body within its bound, and validating it without a detour."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from codeforge.errors import BadRequest, BodyTimeout, BodyTooLarge, CodeForgeError, UnsupportedMediaType
from codeforge.submission import invalid_input

MAX_BODY_BYTES = 1024 * 1024
BODY_S = 30.0
"""How long a body may take to arrive."""

MAX_DISCARDED_BYTES = 16 * 1024 * 1024
DISCARD_S = 5.0
"""So much of a body that is too large is read all the same, and thrown away: many clients send all before they look at
the answer, and an unread body would make the kernel reset the connection before they do (RFC 9112, section 9.6)."""

MAX_SHOWN = 100
"""So much of a header is repeated in an error."""

T = TypeVar("T", bound=BaseModel)


async def read_body(request: Request) -> bytes:
    """The whole body. Raises BodyTooLarge, BodyTimeout, and BadRequest when the client leaves before its end."""
    announced = request.headers.get("Content-Length", "0")
    size = int(announced) if announced.isdecimal() else 0
    stream = request.stream()
    chunks: list[bytes] = []
    try:
        if size > MAX_BODY_BYTES:
            if size <= MAX_DISCARDED_BYTES:
                await _discard(stream)
            raise BodyTooLarge(f"the body may have {MAX_BODY_BYTES} bytes")
        size = 0
        async with asyncio.timeout(BODY_S):
            async for chunk in stream:
                size += len(chunk)
                if size > MAX_BODY_BYTES:
                    await _discard(stream)
                    raise BodyTooLarge(f"the body may have {MAX_BODY_BYTES} bytes")
                chunks.append(chunk)
    except TimeoutError:
        raise BodyTimeout(f"the body did not come to its end within {BODY_S:.0f} s") from None
    except ClientDisconnect:
        raise BadRequest("the body ended early", code="incomplete_body") from None
    return b"".join(chunks)


async def _discard(stream: AsyncIterator[bytes]) -> None:
    left = MAX_DISCARDED_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_S):
            async for chunk in stream:
                left -= len(chunk)
                if left < 0:
                    return


def parse_body(body: bytes, model: type[T]) -> T:
    """Raises BadRequest for what is no JSON, and InvalidInput that names the field."""
    if b"NaN" in body or b"Infinity" in body:
        _refuse_numbers_of_no_json(body)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        if first["type"] == "json_invalid":
            raise BadRequest(f"the body is not valid JSON: {first['msg'].removeprefix('Invalid JSON: ')}") from None
        raise invalid_input(error) from None


def explained(error: CodeForgeError, headers: Headers) -> CodeForgeError:
    """The error, or, where the body could not be read as JSON and its own headers say that it is something else, that.
    They are looked at only then: `curl -d` says that its JSON is a form, and means no harm."""
    coding, kind = headers.get("Content-Encoding", "identity"), headers.get("Content-Type", "application/json")
    if error.code != BadRequest.code:
        return error
    if coding.lower() != "identity":
        return UnsupportedMediaType(f"Content-Encoding: {coding[:MAX_SHOWN]}: bodies are taken as they are, unpacked")
    if "json" not in kind.lower():
        return UnsupportedMediaType(f"Content-Type: {kind[:MAX_SHOWN]}: bodies are application/json ({error.message})")
    return error


def _refuse_numbers_of_no_json(body: bytes) -> None:
    """pydantic reads NaN and Infinity too; on their way on they would become null."""
    try:
        from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise BadRequest(f"the body is not valid JSON: {error}") from None
