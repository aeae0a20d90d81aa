"""What HTTP asks of methods (RFC 9110, section 9): HEAD wherever there is GET, and `Allow` with all that a path has."""

from fastapi import Request
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEAD = "codeforge.head"
"""True in the scope of a request whose body nobody will see."""

ASKED = ("GET", "POST", "PUT", "PATCH", "DELETE")


class HeadAsGet:
    """Middleware that answers HEAD as GET without the body: load balancers and monitors probe with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def bodiless(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        # A copy: the server must still see that it is HEAD.
        await self._app({**scope, "method": "GET", HEAD: True}, receive, bodiless)


def allowed_methods(request: Request) -> list[str]:
    """What the request's path can be asked with: the framework names those of its first route only. A path that is a
    route's own is no task of that name: `/tasks/batch` has nothing of `/tasks/{task_id}`."""
    described = request.app.openapi()["paths"].get(request.scope["path"])
    found = [method for method in ASKED if (method.lower() in described if described else _has(request, method))]
    return [*found, *(["HEAD"] if "GET" in found else []), "OPTIONS"]


def _has(request: Request, method: str) -> bool:
    scope = dict(request.scope) | {"method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.router.routes)
