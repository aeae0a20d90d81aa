"""Points: how they are written, read and deleted."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

import qdrant_edge as edge
from pydantic import Field, model_validator

from codeforge.local.qdrant.body import Body, Dense, Limit, PointId, Sparse, SparseValues, Unsupported
from codeforge.local.qdrant.filters import Filter, build_filter
from codeforge.local.qdrant.schema import DEFAULT_VECTOR, CollectionSpec

MAX_IDS = 100_000


class PayloadInclude(Body):
    """Only these keys."""

    include: list[str]


class PayloadExclude(Body):
    """All but these keys."""

    exclude: list[str]


WithPayload = bool | list[str] | PayloadInclude | PayloadExclude | None
WithVector = bool | list[str] | None


class PointStruct(Body):
    """One point to write. Vectors that are left out are not there; the whole point is replaced."""

    id: PointId
    vector: Dense | dict[str, Dense | Sparse]
    payload: dict[str, Any] | None = None

    def build(self, spec: CollectionSpec) -> edge.Point:
        """The engine's form. Raises Refusal when a vector is not the collection's."""
        vectors = self.vector if isinstance(self.vector, dict) else {DEFAULT_VECTOR: self.vector}
        built: dict[str, Any] = {}
        for name, vector in vectors.items():
            if isinstance(vector, SparseValues):
                spec.check_sparse(name)
                built[name] = edge.SparseVector(vector.indices, vector.values)
            else:
                spec.check_dense(name, vector)
                built[name] = vector
        return edge.Point(self.id, built, self.payload)


class Upsert(Body):
    """`PUT /collections/{name}/points`, in the list form."""

    points: Annotated[list[PointStruct], Field(min_length=1)]
    shard_key: Unsupported = None
    update_filter: Unsupported = None
    update_mode: Unsupported = None

    def build(self, spec: CollectionSpec) -> edge.UpdateOperation:
        """The engine's form; the check of every point comes before any is written."""
        return edge.UpdateOperation.upsert_points([point.build(spec) for point in self.points])


class Delete(Body):
    """`POST /collections/{name}/points/delete`: either by ids or by filter."""

    points: Annotated[list[PointId], Field(max_length=MAX_IDS)] | None = None
    filter: Filter | None = None
    shard_key: Unsupported = None

    @model_validator(mode="after")
    def _one_selector(self) -> Self:
        if (self.points is None) == (self.filter is None):
            raise ValueError("expected either points or filter")
        return self

    def build(self) -> edge.UpdateOperation:
        """The engine's form."""
        if self.filter is not None:
            return edge.UpdateOperation.delete_points_by_filter(self.filter.build())
        return edge.UpdateOperation.delete_points(list(self.points or ()))


class Retrieve(Body):
    """`POST /collections/{name}/points`."""

    ids: Annotated[list[PointId], Field(max_length=MAX_IDS)]
    with_payload: WithPayload = True
    with_vector: WithVector = False
    shard_key: Unsupported = None


class Count(Body):
    """`POST /collections/{name}/points/count`."""

    filter: Filter | None = None
    exact: bool = True
    shard_key: Unsupported = None

    def build(self) -> edge.CountRequest:
        """The engine's form."""
        return edge.CountRequest(exact=self.exact, filter=build_filter(self.filter))


class Scroll(Body):
    """`POST /collections/{name}/points/scroll`, in the order of ids."""

    offset: PointId | None = None
    limit: Limit = 10
    filter: Filter | None = None
    with_payload: WithPayload = True
    with_vector: WithVector = False
    order_by: Unsupported = None
    shard_key: Unsupported = None

    def build(self) -> edge.ScrollRequest:
        """The engine's form."""
        return edge.ScrollRequest(
            offset=self.offset,
            limit=self.limit,
            filter=build_filter(self.filter),
            with_payload=payload_selector(self.with_payload),
            with_vector=self.with_vector or False,
        )


def payload_selector(given: WithPayload) -> "bool | list[str] | edge.PayloadSelector":
    """The engine's form; null is no payload."""
    if isinstance(given, PayloadInclude):
        return edge.PayloadSelector.Include(given.include)
    if isinstance(given, PayloadExclude):
        return edge.PayloadSelector.Exclude(given.exclude)
    return False if given is None else given


def shown_records(records: Sequence[edge.Record]) -> list[dict[str, Any]]:
    """Records as Qdrant writes them."""
    return [_shown(record) for record in records]


def shown_hits(hits: Sequence[edge.ScoredPoint]) -> list[dict[str, Any]]:
    """Scored points as Qdrant writes them."""
    return [{**_shown(hit), "version": hit.version, "score": hit.score} for hit in hits]


def _shown(point: "edge.Record | edge.ScoredPoint") -> dict[str, Any]:
    shown: dict[str, Any] = {"id": point.id}
    if point.payload is not None:
        shown["payload"] = point.payload
    if point.vector is not None:
        shown["vector"] = _shown_vector(point.vector)
    return shown


def _shown_vector(vector: Any) -> Any:
    if isinstance(vector, edge.SparseVector):
        return {"indices": vector.indices, "values": vector.values}
    if isinstance(vector, Mapping):
        return {name: _shown_vector(part) for name, part in vector.items()}
    return vector
