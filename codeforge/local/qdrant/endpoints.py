"""What each of Qdrant's routes does here."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from starlette.requests import Request

from codeforge.local.qdrant.body import parse
from codeforge.local.qdrant.catalog import Catalog
from codeforge.local.qdrant.collection import Collection
from codeforge.local.qdrant.points import Count, Delete, Retrieve, Scroll, Upsert
from codeforge.local.qdrant.queries import QueryBatch, QueryRequest
from codeforge.local.qdrant.refusal import Refusal
from codeforge.local.qdrant.schema import CollectionSpec, CreateIndex
from codeforge.local.qdrant.threads import Threads

MAX_BODY = 32 * 1024 * 1024
"""Qdrant's default limit of a request, in bytes."""

MET = frozenset({"wait", "ordering", "consistency"})
"""Query parameters that any value is true of: one process writes every point at once and in order."""

Handler = Callable[[Request], Awaitable[Any]]


class Endpoints:
    """The handlers. Each returns the `result` of its answer or raises Refusal."""

    def __init__(self, catalog: Catalog, threads: Threads) -> None:
        self._catalog = catalog
        self._threads = threads

    def routes(self) -> Iterable[tuple[str, str, Handler]]:
        """(method, path, handler) of every route."""
        one = "/collections/{name}"
        return (
            ("GET", "/collections", self.names),
            ("GET", one, self.show),
            ("PUT", one, self.create),
            ("DELETE", one, self.delete),
            ("GET", f"{one}/exists", self.exists),
            ("PUT", f"{one}/index", self.create_index),
            ("DELETE", one + "/index/{field}", self.drop_index),
            ("PUT", f"{one}/points", self.upsert),
            ("POST", f"{one}/points", self.retrieve),
            ("POST", f"{one}/points/delete", self.delete_points),
            ("POST", f"{one}/points/count", self.count),
            ("POST", f"{one}/points/scroll", self.scroll),
            ("POST", f"{one}/points/query", self.query),
            ("POST", f"{one}/points/query/batch", self.query_batch),
        )

    async def names(self, _: Request) -> Any:
        """Every collection's name."""
        return {"collections": [{"name": name} for name in self._catalog.names()]}

    async def show(self, request: Request) -> Any:
        """A collection's configuration and size."""
        return await self._threads.read(self._collection(request).info)

    async def exists(self, request: Request) -> Any:
        """Whether there is such a collection."""
        return {"exists": request.path_params["name"] in self._catalog.names()}

    async def create(self, request: Request) -> Any:
        """Makes a collection."""
        spec = parse(CollectionSpec, await _body(request))
        await self._threads.write(self._catalog.create, request.path_params["name"], spec)
        return True

    async def delete(self, request: Request) -> Any:
        """Removes a collection; false when there was none."""
        _check_parameters(request)
        return await self._threads.write(self._catalog.delete, request.path_params["name"])

    async def create_index(self, request: Request) -> Any:
        """Makes a payload index; making it again changes nothing."""
        collection = self._collection(request)
        operation = parse(CreateIndex, await _body(request)).build()
        return _done(request, await self._threads.write(collection.write, operation))

    async def drop_index(self, request: Request) -> Any:
        """Removes a payload index."""
        collection = self._collection(request)
        _check_parameters(request)
        return _done(request, await self._threads.write(collection.drop_index, request.path_params["field"]))

    async def upsert(self, request: Request) -> Any:
        """Writes points, all or none; each replaces the one that had its id."""
        collection, content = self._collection(request), await _body(request)
        return _done(request, await self._threads.write(_upsert, collection, content))

    async def delete_points(self, request: Request) -> Any:
        """Deletes points by ids or by filter."""
        collection = self._collection(request)
        operation = parse(Delete, await _body(request)).build()
        return _done(request, await self._threads.write(collection.write, operation))

    async def retrieve(self, request: Request) -> Any:
        """Points by their ids."""
        collection = self._collection(request)
        return await self._threads.read(collection.retrieve, parse(Retrieve, await _body(request)))

    async def count(self, request: Request) -> Any:
        """How many points match."""
        collection = self._collection(request)
        return {"count": await self._threads.read(collection.count, parse(Count, await _body(request)))}

    async def scroll(self, request: Request) -> Any:
        """A page of points."""
        collection = self._collection(request)
        points, following = await self._threads.read(collection.scroll, parse(Scroll, await _body(request)))
        return {"points": points, "next_page_offset": following}

    async def query(self, request: Request) -> Any:
        """The best hits of one query."""
        collection = self._collection(request)
        query = parse(QueryRequest, await _body(request))
        (hits,) = await self._threads.read(collection.query, [query])
        return {"points": hits}

    async def query_batch(self, request: Request) -> Any:
        """The best hits of several queries."""
        collection = self._collection(request)
        batch = parse(QueryBatch, await _body(request))
        return [{"points": hits} for hits in await self._threads.read(collection.query, batch.searches)]

    def _collection(self, request: Request) -> Collection:
        return self._catalog.get(request.path_params["name"])


def _upsert(collection: Collection, content: bytes) -> int:
    # Some megabytes of JSON: parsed where it keeps nobody waiting.
    return collection.write(parse(Upsert, content).build(collection.spec))


def _done(request: Request, operation: int) -> Any:
    """An update's result. It has been applied in any case; `completed` is what `wait=true` asks for."""
    waited = request.query_params.get("wait") == "true"
    return {"operation_id": operation, "status": "completed" if waited else "acknowledged"}


def _check_parameters(request: Request) -> None:
    for name in request.query_params:
        if name not in MET:
            raise Refusal(400, f"Bad request: query parameter `{name}` is not supported by the embedded server")


async def _body(request: Request) -> bytes:
    """The body of a request with known query parameters. Raises Refusal: 400 for another one, 413 for a long body."""
    _check_parameters(request)
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MAX_BODY:
            raise Refusal(413, f"Payload reached size limit: {MAX_BODY} bytes")
    return bytes(content)
