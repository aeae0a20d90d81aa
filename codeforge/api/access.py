"""Who asks, and from where: bearer keys to tenants; without keys, loopback only."""

import hashlib
import hmac
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from codeforge.api.headers import AUTHORIZATION, values_of
from codeforge.api.problems import problem
from codeforge.errors import Unauthorized
from codeforge.settings import is_loopback

DEFAULT_TENANT = "default"


class Access(SecurityBase):
    """A dependency: the request's tenant. `keys` maps the SHA-256 of a key, in hex, to its tenant (the values of
    `API_KEYS`); with none, everybody is the default tenant. The OpenAPI document tells of it, so that the viewer at
    `/docs` asks for a key and sends it."""

    model = HTTPBearer(description="Needed where the service has `API_KEYS`.")
    scheme_name = "key"

    def __init__(self, keys: Mapping[str, SecretStr]) -> None:
        self._keys = {digest.encode(): tenant.get_secret_value() for digest, tenant in keys.items()}

    async def __call__(self, request: Request) -> str:
        """Raises Unauthorized, also for two keys: which of two tenants asks nobody can tell."""
        if not self._keys:
            return DEFAULT_TENANT
        given = values_of(request, AUTHORIZATION)
        scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        digest = hashlib.sha256(key.strip().encode()).hexdigest().encode()
        found: str | None = None
        for known, tenant in self._keys.items():  # all of them, so that the time tells nothing
            if hmac.compare_digest(digest, known):
                found = tenant
        if scheme.lower() != "bearer" or found is None:
            raise Unauthorized("a valid key is needed, once: Authorization: Bearer <key>")
        return found


class LoopbackOnly:
    """Middleware for a front door without keys: refuses names and origins other than this machine's, so that no web
    page reaches it through the user's browser (cross-site requests, DNS rebinding)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            named = [b"//" + headers.get(b"host", b"")]
            if b"origin" in headers:
                named.append(headers[b"origin"])
            if not all(map(_names_this_machine, named)):
                response = problem(403, "forbidden", "without API_KEYS only requests of this machine are served")
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


@lru_cache(maxsize=256)  # clients say the same with each request
def _names_this_machine(url: bytes) -> bool:
    try:
        return is_loopback(urlsplit(url.decode("latin-1")).hostname or "")
    except ValueError:  # no URL at all
        return False
