"""Files that pages of the front door are made of, each read once and served from memory."""

from collections.abc import Callable, Mapping
from importlib.resources.abc import Traversable

from fastapi import Response
from starlette.exceptions import HTTPException

MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
}

HEADERS = {
    # Nothing from elsewhere, no inline script: a task's text can do nothing here.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def static_files(*names: tuple[Traversable, str]) -> Callable[[str], Response]:
    """Answers with the file of a name, of those in these folders, and raises 404 for any other."""
    texts: Mapping[str, bytes] = {name: (folder / name).read_bytes() for folder, name in names}

    def answer(name: str) -> Response:
        if name not in texts:
            raise HTTPException(404)
        return Response(texts[name], media_type=MEDIA_TYPES[name.rpartition(".")[2]], headers=HEADERS)

    return answer
