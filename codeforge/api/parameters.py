"""Query parameters that a route does not know are refused: a misspelt filter must not answer as if there were none. So
are those that are given twice where one is taken: the others would be dropped without a word. Numbers are digits."""

import re
from collections import Counter
from collections.abc import Collection

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from codeforge.errors import InvalidInput

MANY = frozenset({"label"})
"""Those that may be given several times."""

WHOLE_NUMBER = re.compile("-?[0-9]+")


def _in_digits(text: object) -> object:
    """pydantic takes 5.0, 1_0 and other scripts' digits, too; a program that sends those has made a mistake."""
    if isinstance(text, str) and WHOLE_NUMBER.fullmatch(text) is None:
        raise PydanticCustomError("int_parsing", "Input should be a whole number in decimal digits")
    return text


IN_DIGITS = BeforeValidator(_in_digits)
"""Of a whole number in the query. It stands behind the bounds, or the OpenAPI document would not know them."""


async def known_parameters(request: Request) -> None:
    """A dependency of a router. Raises InvalidInput that names the first parameter that is unknown or repeated."""
    route = request.scope["route"]
    if not isinstance(route, APIRoute) or not request.query_params:
        return
    refuse_others(request, {field.alias for field in route.dependant.query_params})
    for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
        if times > 1 and name not in MANY:
            raise InvalidInput("given more than once", field=name)


def refuse_others(request: Request, known: Collection[str]) -> None:
    """Raises InvalidInput that names the first parameter which is not `known`."""
    for name in request.query_params:
        if name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise InvalidInput(f"no such parameter; known here: {listed}", field=name[:100])
