"""A collection's configuration: what a client may ask for, how the engine gets it, and how it is shown."""

from enum import StrEnum
from typing import Annotated, Any, Literal

import qdrant_edge as edge
from pydantic import Field

from codeforge.local.qdrant.body import Body, Unsupported
from codeforge.local.qdrant.refusal import dimension_differs, vector_missing

DEFAULT_VECTOR = ""
"""The name of the vector of a collection whose vectors have no names."""

ONLY_ONE = Literal[1]


class Distance(StrEnum):
    """Qdrant's distances, under its names."""

    COSINE = "Cosine"
    EUCLID = "Euclid"
    DOT = "Dot"
    MANHATTAN = "Manhattan"


class VectorParams(Body):
    """A dense vector of `size` numbers."""

    size: Annotated[int, Field(ge=1, le=65_536)]
    distance: Annotated[Distance, Field(strict=False)]
    on_disk: bool | None = None
    hnsw_config: Unsupported = None
    quantization_config: Unsupported = None
    memory: Unsupported = None
    datatype: Unsupported = None
    multivector_config: Unsupported = None

    def build(self) -> edge.EdgeVectorParams:
        """The engine's form."""
        return edge.EdgeVectorParams(
            size=self.size, distance=getattr(edge.Distance, self.distance.value), on_disk=self.on_disk
        )


class SparseIndexParams(Body):
    """Where the inverted index lies."""

    on_disk: bool | None = None
    datatype: Literal["float32", "float16"] | None = None
    full_scan_threshold: Unsupported = None
    memory: Unsupported = None


class SparseVectorParams(Body):
    """A sparse vector; `idf` weighs each dimension by how rare it is in the collection."""

    modifier: Literal["none", "idf"] | None = None
    index: SparseIndexParams | None = None

    def build(self) -> edge.EdgeSparseVectorParams:
        """The engine's form."""
        index = self.index or SparseIndexParams()
        half = index.datatype == "float16"
        return edge.EdgeSparseVectorParams(
            modifier=edge.Modifier.Idf if self.modifier == "idf" else None,
            on_disk=index.on_disk,
            datatype=edge.VectorStorageDatatype.Float16 if half else None,
        )


class CollectionSpec(Body):
    """`PUT /collections/{name}`, and what is kept of it."""

    vectors: VectorParams | dict[str, VectorParams] | None = None
    sparse_vectors: dict[str, SparseVectorParams] | None = None
    metadata: dict[str, Any] | None = None
    shard_number: ONLY_ONE | None = None
    replication_factor: ONLY_ONE | None = None
    write_consistency_factor: ONLY_ONE | None = None
    sharding_method: Unsupported = None
    on_disk_payload: Unsupported = None
    payload: Unsupported = None
    id_tracker: Unsupported = None
    hnsw_config: Unsupported = None
    wal_config: Unsupported = None
    optimizers_config: Unsupported = None
    quantization_config: Unsupported = None
    strict_mode_config: Unsupported = None

    @property
    def dense(self) -> dict[str, VectorParams]:
        """The dense vectors by name."""
        if isinstance(self.vectors, VectorParams):
            return {DEFAULT_VECTOR: self.vectors}
        return self.vectors or {}

    @property
    def sparse(self) -> dict[str, SparseVectorParams]:
        """The sparse vectors by name."""
        return self.sparse_vectors or {}

    def build(self) -> edge.EdgeConfig:
        """The engine's form."""
        return edge.EdgeConfig(
            vectors={name: params.build() for name, params in self.dense.items()},
            sparse_vectors={name: params.build() for name, params in self.sparse.items()},
        )

    def check_dense(self, name: str, vector: list[float]) -> None:
        """Raises Refusal when the collection has no such dense vector or one of another length."""
        params = self.dense.get(name)
        if params is None:
            raise vector_missing(name)
        if len(vector) != params.size:
            raise dimension_differs(params.size, len(vector))

    def check_sparse(self, name: str) -> None:
        """Raises Refusal when the collection has no such sparse vector."""
        if name not in self.sparse:
            raise vector_missing(name)

    def shown(self) -> dict[str, Any]:
        """The `config` of `GET /collections/{name}`, with the engine's fixed values."""
        given = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {
            "params": {
                "vectors": given.get("vectors", {}),
                **({"sparse_vectors": given["sparse_vectors"]} if self.sparse else {}),
                "shard_number": 1,
                "replication_factor": 1,
                "write_consistency_factor": 1,
                "on_disk_payload": True,
            },
            "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000},
            "optimizer_config": {"default_segment_number": 0, "flush_interval_sec": 5},
            "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0},
            "quantization_config": None,
            **({"metadata": given["metadata"]} if self.metadata else {}),
        }


class KeywordIndex(Body):
    """A keyword index with parameters. `is_tenant` keeps a tenant's points together."""

    type: Literal["keyword"]
    is_tenant: bool | None = None
    on_disk: bool | None = None
    memory: Unsupported = None
    enable_hnsw: Unsupported = None
    prefix: Unsupported = None
    nested: Unsupported = None


class CreateIndex(Body):
    """`PUT /collections/{name}/index`."""

    field_name: Annotated[str, Field(min_length=1, max_length=1_000)]
    field_schema: Literal["keyword", "integer", "float", "bool", "datetime", "uuid"] | KeywordIndex

    def build(self) -> edge.UpdateOperation:
        """The engine's form."""
        if isinstance(self.field_schema, KeywordIndex):
            params = edge.KeywordIndexParams(is_tenant=self.field_schema.is_tenant, on_disk=self.field_schema.on_disk)
            return edge.UpdateOperation.create_field_index(self.field_name, params)
        schema = getattr(edge.PayloadSchemaType, self.field_schema.capitalize())
        return edge.UpdateOperation.create_field_index(self.field_name, schema)


def shown_index(info: "edge.PayloadIndexInfo") -> dict[str, Any]:
    """One entry of `payload_schema` in `GET /collections/{name}`."""
    kind = str(info.data_type).rpartition(".")[2].lower()
    shown: dict[str, Any] = {"data_type": kind, "points": info.points}
    if isinstance(info.params, edge.KeywordIndexParams):
        given = {"is_tenant": info.params.is_tenant, "on_disk": info.params.on_disk}
        shown["params"] = {"type": kind, **{name: value for name, value in given.items() if value is not None}}
    return shown
