"""Headers that may come once: which of two was meant nobody can tell, and a guess could be paid for."""

from fastapi import Request

from codeforge.errors import InvalidInput

IDEMPOTENCY_KEY = b"idempotency-key"
AUTHORIZATION = b"authorization"


def values_of(request: Request, name: bytes) -> list[str]:
    """All that came under the name, in lower case as the server has it; the framework makes it so each time."""
    return [value.decode("latin-1") for key, value in request.scope["headers"] if key == name]


def single_header(request: Request, name: bytes) -> str | None:
    """The header's value, None without it. Raises InvalidInput where it comes more than once."""
    values = values_of(request, name)
    if len(values) > 1:
        raise InvalidInput("given more than once", field=name.decode().title())
    return values[0] if values else None
