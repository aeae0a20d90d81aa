"""Reading a request's body within its bound, and validating it without a detour."""

from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from codeforge.errors import BadRequest, BodyTooLarge
from codeforge.submission import invalid_input

MAX_BODY_BYTES = 1024 * 1024

T = TypeVar("T", bound=BaseModel)


async def read_body(request: Request) -> bytes:
    """The whole body. Raises BodyTooLarge as soon as it is known to be."""
    announced = request.headers.get("Content-Length", "0")
    if not announced.isdecimal() or int(announced) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"the body may have {MAX_BODY_BYTES} bytes")
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise BodyTooLarge(f"the body may have {MAX_BODY_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def parse_body(body: bytes, model: type[T]) -> T:
    """Raises BadRequest for what is no JSON, and InvalidInput that names the field."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        if first["type"] == "json_invalid":
            raise BadRequest(f"the body is not valid JSON: {first['msg']}") from None
        raise invalid_input(error) from None
