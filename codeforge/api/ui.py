"""The operators' page at `/ui`: static files that speak to the API like any client."""

from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

MEDIA_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
}

HEADERS = {
    # Nothing from elsewhere, no inline script: a task's text can do nothing here.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def ui_routes() -> APIRouter:
    """The page and its two files."""
    router = APIRouter(include_in_schema=False)
    folder = files("codeforge.api") / "static"
    texts = {name: (folder / name).read_bytes() for name in MEDIA_TYPES}

    @router.get("/")
    async def root() -> Response:
        return RedirectResponse("/ui")

    @router.get("/ui")
    async def page() -> Response:
        return _file(texts, "index.html")

    @router.get("/ui/{name}")
    async def asset(name: str) -> Response:
        return _file(texts, name)

    return router


def _file(texts: dict[str, bytes], name: str) -> Response:
    if name not in texts:
        raise HTTPException(404)
    return Response(texts[name], media_type=MEDIA_TYPES[name], headers=HEADERS)
