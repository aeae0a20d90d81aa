"""Query parameters that a route does not know are refused: a misspelt filter must not answer as if there were none."""

from collections.abc import Collection

from fastapi import Request
from fastapi.routing import APIRoute

from codeforge.errors import InvalidInput


async def known_parameters(request: Request) -> None:
    """A dependency of a router. Raises InvalidInput that names the first unknown parameter."""
    route = request.scope["route"]
    if not isinstance(route, APIRoute) or not request.query_params:
        return
    refuse_others(request, {field.alias for field in route.dependant.query_params})


def refuse_others(request: Request, known: Collection[str]) -> None:
    """Raises InvalidInput that names the first parameter which is not `known`."""
    for name in request.query_params:
        if name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise InvalidInput(f"no such parameter; known here: {listed}", field=name[:100])
