"""The query API (https://qdrant.tech/documentation/concepts/hybrid-queries/): nearest vectors, prefetches, fusion."""

from typing import Annotated, Any, Literal

import qdrant_edge as edge
from pydantic import Field

from codeforge.local.qdrant.body import Body, Dense, Limit, Sparse, SparseValues, Unsupported
from codeforge.local.qdrant.filters import Filter, build_filter
from codeforge.local.qdrant.points import WithPayload, WithVector, payload_selector
from codeforge.local.qdrant.refusal import wrong_input
from codeforge.local.qdrant.schema import DEFAULT_VECTOR, CollectionSpec

RRF_K = 2
"""Qdrant's default for reciprocal rank fusion."""

Nearest = Dense | Sparse


class SearchParams(Body):
    """Both are met: every search of this server is exact."""

    exact: bool | None = None
    hnsw_ef: Annotated[int, Field(ge=0)] | None = None
    quantization: Unsupported = None
    indexed_only: Unsupported = None
    acorn: Unsupported = None
    idf: Unsupported = None


class NearestQuery(Body):
    """Points by their likeness to a vector, in the long form."""

    nearest: Nearest
    mmr: Unsupported = None


class FusionQuery(Body):
    """The prefetches' results in one ranking."""

    fusion: Literal["rrf", "dbsf"]

    def build(self) -> Any:
        """The engine's form, whose two classes the engine's type stubs relate to nothing."""
        return edge.Fusion.Rrf(k=RRF_K) if self.fusion == "rrf" else edge.Fusion.Dbsf()


class RrfParams(Body):
    """`weights` has one number a prefetch."""

    k: Annotated[int, Field(ge=1)] | None = None
    weights: list[float] | None = None


class RrfQuery(Body):
    """Reciprocal rank fusion with parameters."""

    rrf: RrfParams

    def build(self) -> Any:
        """The engine's form."""
        return edge.Fusion.Rrf(k=self.rrf.k or RRF_K, weights=self.rrf.weights)


Query = Nearest | NearestQuery | FusionQuery | RrfQuery


class Prefetch(Body):
    """One stage: its results are what the query above it chooses from."""

    prefetch: "list[Prefetch] | Prefetch | None" = None
    query: Query | None = None
    using: str | None = None
    filter: Filter | None = None
    params: SearchParams | None = None
    score_threshold: float | None = None
    limit: Limit = 10
    lookup_from: Unsupported = None

    def build(self, spec: CollectionSpec) -> edge.Prefetch:
        """The engine's form. Raises Refusal when it does not fit the collection."""
        inner = _prefetches(self.prefetch, spec)
        return edge.Prefetch(
            limit=self.limit,
            prefetches=inner,
            query=_scoring(self.query, self.using, spec, prefetched=bool(inner)),
            filter=build_filter(self.filter),
            score_threshold=self.score_threshold,
        )


class QueryRequest(Body):
    """`POST /collections/{name}/points/query`."""

    prefetch: list[Prefetch] | Prefetch | None = None
    query: Query | None = None
    using: str | None = None
    filter: Filter | None = None
    params: SearchParams | None = None
    score_threshold: float | None = None
    limit: Limit = 10
    offset: Annotated[int, Field(ge=0)] | None = None
    with_payload: WithPayload = False
    with_vector: WithVector = False
    lookup_from: Unsupported = None
    shard_key: Unsupported = None

    def build(self, spec: CollectionSpec) -> edge.QueryRequest:
        """The engine's form. Raises Refusal when it does not fit the collection."""
        inner = _prefetches(self.prefetch, spec)
        return edge.QueryRequest(
            limit=self.limit,
            offset=self.offset,
            prefetches=inner,
            query=_scoring(self.query, self.using, spec, prefetched=bool(inner)),
            filter=build_filter(self.filter),
            score_threshold=self.score_threshold,
            with_payload=payload_selector(self.with_payload),
            with_vector=self.with_vector or False,
        )


class QueryBatch(Body):
    """`POST /collections/{name}/points/query/batch`."""

    searches: Annotated[list[QueryRequest], Field(max_length=100)]


Prefetch.model_rebuild()


def _prefetches(given: list[Prefetch] | Prefetch | None, spec: CollectionSpec) -> list[edge.Prefetch]:
    stages = given if isinstance(given, list) else [] if given is None else [given]
    return [stage.build(spec) for stage in stages]


def _scoring(query: Query | None, using: str | None, spec: CollectionSpec, *, prefetched: bool) -> Any:
    if isinstance(query, FusionQuery | RrfQuery):
        if not prefetched:
            raise wrong_input("cannot make fusion without prefetches")
        return query.build()
    if query is None:
        if prefetched:
            raise wrong_input("cannot have prefetches without a query")
        return None
    vector = query.nearest if isinstance(query, NearestQuery) else query
    name = DEFAULT_VECTOR if using is None else using
    if isinstance(vector, SparseValues):
        spec.check_sparse(name)
        return edge.Query.Nearest(edge.SparseVector(vector.indices, vector.values), using=name)
    spec.check_dense(name, vector)
    return edge.Query.Nearest(vector, using=name)
