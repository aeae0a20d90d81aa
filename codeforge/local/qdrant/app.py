"""The ASGI application: Qdrant's routes and envelopes around the catalog."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.metadata import version
from time import perf_counter
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from codeforge.local.qdrant.catalog import Catalog
from codeforge.local.qdrant.endpoints import Endpoints
from codeforge.local.qdrant.refusal import Refusal
from codeforge.local.qdrant.threads import Threads

API_VERSION = "1.20.0"
"""The version of Qdrant whose API this follows; clients compare it with their own."""

FLUSH_EVERY_S = 5.0
"""Qdrant's own interval. It bounds how much a start after a crash reads again from the log."""

Handler = Callable[[Request], Awaitable[Any]]

log = logging.getLogger(__name__)


def create_app(catalog: Catalog) -> Starlette:
    """The application over an entered catalog, which stays the caller's to leave."""
    threads = Threads()
    endpoints = Endpoints(catalog, threads)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        flusher = asyncio.create_task(_keep_flushing(catalog, threads))
        yield
        flusher.cancel()
        with suppress(asyncio.CancelledError):
            await flusher
        threads.stop()

    routes = [
        Route("/", _about),
        Route("/healthz", partial(_text, "healthz check passed")),
        Route("/livez", partial(_text, "livez check passed")),
        Route("/readyz", partial(_text, "all shards are ready")),
        *(Route(path, _Enveloped(handler), methods=[method]) for method, path, handler in endpoints.routes()),
    ]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _unrouted})


class _Enveloped:
    """A handler's result, or its failure, in Qdrant's envelope: `result`, `status` and `time` (seconds)."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive, send)
        start = perf_counter()
        try:
            response = _envelope(200, "ok", start, result=await self._handler(request))
        except Refusal as refusal:
            response = _envelope(refusal.status, {"error": refusal.message}, start)
        except ClientDisconnect:
            return
        except Exception as error:  # the engine raises nothing more special; the client is to see that it failed
            log.exception("%s %s failed", request.method, request.url.path)
            response = _envelope(500, {"error": f"Service internal error: {error}"}, start)
        await response(scope, receive, send)


def _envelope(code: int, status: Any, start: float, **fields: Any) -> Response:
    content = orjson.dumps({**fields, "status": status, "time": perf_counter() - start})
    return Response(content, code, media_type="application/json")


async def _unrouted(_: Request, error: Exception) -> Response:
    """A path or method that this server does not serve."""
    code = error.status_code if isinstance(error, HTTPException) else 500
    return _envelope(code, {"error": "Not found: the embedded server has no such route"}, perf_counter())


async def _about(_: Request) -> Response:
    """Which server this is, in no envelope, as Qdrant has it."""
    title = f"CodeForge's embedded Qdrant, engine qdrant-edge {version('qdrant-edge-py')}"
    return Response(orjson.dumps({"title": title, "version": API_VERSION}), media_type="application/json")


async def _text(text: str, _: Request) -> Response:
    return PlainTextResponse(text)


async def _keep_flushing(catalog: Catalog, threads: Threads) -> None:
    while True:
        await asyncio.sleep(FLUSH_EVERY_S)
        try:
            await threads.write(catalog.flush)
        except Exception:  # a full disk, say: what was written is in the log, and the next turn tries again
            log.exception("flush failed")
