"""The vector store: a Qdrant server, spoken to by its official client over REST.

A point has three vectors. `dense` is its meaning. `words` holds BM25 weights of its words, to which Qdrant adds how
rare each is. `terms` says only which words it has, so that a query can ask for the points that have most of its words.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import httpx
from pydantic import SecretStr
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from codeforge.errors import RowRejected, SettingsError, VectorsUnavailable
from codeforge.stores import qdrant_queries as queries
from codeforge.stores.ports import MAX_ANSWERING, Hit, PageVersion, Point, newest_tasks
from codeforge.stores.qdrant_failures import is_row_fault, is_without_collection, unavailable, what_it_said

MAX_BATCH_POINTS = 500
MAX_BATCH_BYTES = 16 * 1024 * 1024
"""Half of what a Qdrant server takes at most in one request, as it comes configured."""

MAX_FORGOTTEN = 64
"""Documents whose older versions are removed in one request."""

LIMITS = httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=3.0)
"""Idle connections are dropped before a server does it (Qdrant: 5 s), so that no request is sent into a closing one."""

MODEL_KEY = "embeddings_model"

T = TypeVar("T")


class QdrantStore:
    """A `VectorStore` on one collection. Every call ends within `timeout_s` seconds, a write within that per batch.

    `model` names what makes the vectors; it is recorded in the collection (by servers from 1.16 on), and a collection
    that another one filled is refused: their vectors do not compare. `replicas` is how many nodes of a cluster hold
    each point of a collection that is made here; one that is there keeps its own.
    """

    def __init__(
        self,
        url: str,
        api_key: SecretStr | None,
        collection: str,
        dim: int,
        *,
        model: str | None = None,
        replicas: int = 1,
        timeout_s: float = 10.0,
    ) -> None:
        self._collection = collection
        self._dim = dim
        self._model = model
        self._replicas = replicas
        self._timeout_s = timeout_s
        # The key goes by header: given as `api_key` the client warns of plain http, which is how services within a
        # cluster speak. The compatibility check would make a request of its own, in a thread, at once.
        self._client = AsyncQdrantClient(
            url=url,
            headers=None if api_key is None else {"api-key": api_key.get_secret_value()},
            timeout=math.ceil(timeout_s),
            prefer_grpc=False,
            check_compatibility=False,
            limits=LIMITS,
            trust_env=False,
        )

    async def prepare(self) -> None:
        """See `VectorStore.prepare`. The SettingsError names CODEFORGE_EMBEDDINGS_DIM or _MODEL."""
        async with self._answering():
            if not await self._client.collection_exists(self._collection):
                await self._create()
            info = await self._client.get_collection(self._collection)
            self._check(info.config)
            for field, schema in queries.PAYLOAD_INDEXES.items():
                if field not in info.payload_schema:
                    await self._client.create_payload_index(self._collection, field, field_schema=schema, wait=True)

    async def fits(self) -> bool:
        """See `VectorStore.fits`. The SettingsError is that of `prepare`."""
        async with self._answering():
            if not await self._client.collection_exists(self._collection):
                return False
            self._check((await self._client.get_collection(self._collection)).config)
        return True

    async def upsert(self, points: Sequence[Point]) -> None:
        """See `VectorStore.upsert`. A RowRejected means that none of the batch with the row was written."""
        for batch in _batches(points):
            # A tenth of a millisecond a point, mostly for its words: not on the event loop.
            body = await asyncio.to_thread(queries.points_body, batch)
            async with self._answering(rows=True):
                await self._put_points(body)

    async def forget_older(self, versions: Sequence[PageVersion]) -> None:
        """See `VectorStore.forget_older`."""
        for start in range(0, len(versions), MAX_FORGOTTEN):
            chosen = queries.older_filter(versions[start : start + MAX_FORGOTTEN])
            async with self._answering():
                await self._client.delete(self._collection, models.FilterSelector(filter=chosen), wait=True)

    async def search(
        self,
        tenant: str,
        text: str,
        vector: Sequence[float],
        *,
        type: str | None = None,
        kind: str | None = None,
        limit: int = 10,
    ) -> list[Hit]:
        """See `VectorStore.search`."""
        chosen = queries.tenant_filter(tenant, type, kind)
        halves = queries.prefetches(text, vector, chosen, limit)
        query = self._client.query_points(
            self._collection,
            prefetch=halves,
            query=models.FusionQuery(fusion=models.Fusion.RRF),
            query_filter=chosen,
            limit=limit,
            with_payload=True,
        )
        found = await self._read(query)
        return [Hit(str(point.id), point.score, point.payload or {}) for point in found.points] if found else []

    async def answering(self, tenant: str, keys: Sequence[str], since: int, limit: int) -> list[str]:
        """See `VectorStore.answering`."""
        chosen = queries.answering_filter(tenant, keys, since)
        scroll = self._client.scroll(
            self._collection, scroll_filter=chosen, limit=MAX_ANSWERING, with_payload=["task_id", "created_at"]
        )
        found = await self._read(scroll)
        return newest_tasks([point.payload or {} for point in found[0]], limit) if found else []

    async def count(self, tenant: str | None = None) -> int:
        """See `VectorStore.count`."""
        chosen = None if tenant is None else queries.tenant_filter(tenant)
        count = self._client.count(self._collection, count_filter=chosen, exact=True)
        found = await self._read(count)
        return found.count if found else 0

    async def ping(self) -> None:
        """See `VectorStore.ping`. It goes past the health routes, which ask for no key."""
        async with self._answering():
            await self._client.collection_exists(self._collection)

    async def close(self) -> None:
        """See `VectorStore.close`."""
        await self._client.close()

    async def _read(self, call: Awaitable[T]) -> T | None:
        """What a read answers; None while there is no collection, which the projector makes."""
        async with self._answering():
            try:
                return await call
            except UnexpectedResponse as error:
                if is_without_collection(error):
                    return None
                raise

    async def _put_points(self, body: bytes) -> None:
        """What the client's own `upsert` ends in, which builds a model of each point first."""
        answer = await self._client.http.points_api.upsert_points(
            self._collection,
            wait=True,
            point_insert_operations=body,  # type: ignore[arg-type]  # what is no model is sent as it is
        )
        if answer.result is None:  # the client does not look at what it was answered here
            raise ValueError("a success without a result")

    async def _create(self) -> None:
        try:
            await self._client.create_collection(
                self._collection,
                vectors_config={queries.DENSE: models.VectorParams(size=self._dim, distance=models.Distance.COSINE)},
                sparse_vectors_config=queries.SPARSE_VECTORS,
                # All but one must have a point before it counts as written, so that one node may be away.
                replication_factor=None if self._replicas == 1 else self._replicas,
                write_consistency_factor=None if self._replicas == 1 else self._replicas - 1,
                metadata=None if self._model is None else {MODEL_KEY: self._model},
            )
        except UnexpectedResponse:
            # Another process may have been faster; it is the same collection then, which is checked like any other.
            if not await self._client.collection_exists(self._collection):
                raise

    def _check(self, config: models.CollectionConfig) -> None:
        vectors = config.params.vectors
        dense = vectors.get(queries.DENSE) if isinstance(vectors, dict) else None
        if dense is None or not queries.SPARSE_VECTORS.keys() <= (config.params.sparse_vectors or {}).keys():
            raise SettingsError(
                f"CODEFORGE_QDRANT_COLLECTION: the collection {self._collection} was not made by this program"
            )
        if dense.size != self._dim:
            raise SettingsError(
                f"CODEFORGE_EMBEDDINGS_DIM: {self._dim}, but the collection {self._collection} has vectors of"
                f" {dense.size}; use another CODEFORGE_QDRANT_COLLECTION or fill it anew"
            )
        made_by = (config.metadata or {}).get(MODEL_KEY)
        if self._model is not None and made_by is not None and made_by != self._model:
            raise SettingsError(
                f"CODEFORGE_EMBEDDINGS_MODEL: {self._model}, but the collection {self._collection} was filled by"
                f" {made_by}; use another CODEFORGE_QDRANT_COLLECTION or fill it anew"
            )

    @asynccontextmanager
    async def _answering(self, *, rows: bool = False) -> AsyncIterator[None]:
        """Bounds the calls inside in time and maps what they raise; `rows` says that they carry rows to write."""
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except TimeoutError as error:
            raise VectorsUnavailable(f"the vector store did not answer within {self._timeout_s:g} s") from error
        except UnexpectedResponse as error:
            if rows and is_row_fault(error):
                raise RowRejected(f"the vector store refused the rows: {what_it_said(error)}") from error
            raise unavailable(error) from error
        except ResourceExhaustedResponse as error:
            raise VectorsUnavailable("the vector store asks for fewer requests") from error
        except ResponseHandlingException as error:
            # The client's own message holds the address; the kind of failure says enough.
            reason = type(error.source).__name__
            raise VectorsUnavailable(f"the vector store cannot be reached: {reason}") from error
        except (AssertionError, ValueError) as error:
            # So the client puts it when a success has no result, or is no JSON: a proxy's page, say.
            raise VectorsUnavailable("the vector store answered something else than a Qdrant server does") from error


def _batches(points: Sequence[Point]) -> Iterator[Sequence[Point]]:
    """Cuts the points so that each request keeps within both bounds; a point that is larger goes alone."""
    start, size = 0, 0
    for position, point in enumerate(points):
        bytes_ = queries.estimated_bytes(point)
        if position > start and (position - start == MAX_BATCH_POINTS or size + bytes_ > MAX_BATCH_BYTES):
            yield points[start:position]
            start, size = position, 0
        size += bytes_
    if start < len(points):
        yield points[start:]
