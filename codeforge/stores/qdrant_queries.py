"""What is asked of Qdrant: the collection's vectors and indexes, points, filters and the two halves of a search."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from qdrant_client import models

from codeforge.errors import RowRejected
from codeforge.stores.ports import PageVersion, Point
from codeforge.stores.sparse import SparseVector, document_vector, presence_vector

DENSE = "dense"
WORDS = "words"
TERMS = "terms"

SPARSE_VECTORS = {
    WORDS: models.SparseVectorParams(modifier=models.Modifier.IDF),
    # It holds nothing but ones: half precision is exact, and what it selects is then weighed by the other.
    TERMS: models.SparseVectorParams(index=models.SparseIndexParams(on_disk=True, datatype=models.Datatype.FLOAT16)),
}

_KEYWORD = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD)
PAYLOAD_INDEXES: dict[str, models.KeywordIndexParams] = {
    "tenant": models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
    "task_id": _KEYWORD,
    "type": _KEYWORD,
    "kind": _KEYWORD,
    "document": _KEYWORD,
    "answers": _KEYWORD,
}

MIN_CANDIDATES = 50
TERM_CANDIDATES = 200
NUMBER_BYTES = 22
CHAR_BYTES = 15
"""What a vector's number, and a character of text with its share of both sparse vectors, takes in JSON, in bytes:
three for itself, and 48 for each word, of which a text has one in four characters at the very most."""


def points_body(points: Sequence[Point]) -> bytes:
    """The points as `PUT /collections/{name}/points` takes them, with their words' vectors made from each payload's
    `text`. Numbers are written in single precision, which is what is stored.

    Not with the client's models: to check and encode them took six times as long. Raises RowRejected for a payload that
    is no JSON.
    """
    try:
        return orjson.dumps({"points": [_point(point) for point in points]}, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError as error:
        raise RowRejected("a point cannot be written as JSON") from error


def estimated_bytes(point: Point) -> int:
    """About what the point takes in a request, in bytes; more rather than less."""
    text = point.payload["text"]
    return len(point.vector) * NUMBER_BYTES + len(text) * CHAR_BYTES + 1_024


def tenant_filter(tenant: str, type: str | None = None, kind: str | None = None) -> models.Filter:
    """Only the tenant's points, of one type and kind if given."""
    wanted = {"tenant": tenant, "type": type, "kind": kind}
    return models.Filter(
        must=[
            models.FieldCondition(key=key, match=models.MatchValue(value=value))
            for key, value in wanted.items()
            if value is not None
        ]
    )


def answering_filter(tenant: str, keys: Sequence[str], since: int) -> models.Filter:
    """The tenant's points that answer one of the keys, not older than `since`."""
    return models.Filter(
        must=[
            models.FieldCondition(key="tenant", match=models.MatchValue(value=tenant)),
            models.FieldCondition(key="answers", match=models.MatchAny(any=list(keys))),
            models.FieldCondition(key="created_at", range=models.Range(gte=since)),
        ]
    )


def older_filter(versions: Sequence[PageVersion]) -> models.Filter:
    """The points of these documents that are of another version and were fetched before."""
    return models.Filter(should=[_older(one) for one in versions])


def _older(one: PageVersion) -> models.Filter:
    same = {"tenant": one.tenant, "document": one.document}
    return models.Filter(
        must=[
            *(models.FieldCondition(key=key, match=models.MatchValue(value=value)) for key, value in same.items()),
            models.FieldCondition(key="fetched_at", range=models.Range(lt=one.fetched_at)),
        ],
        must_not=[models.FieldCondition(key="version", match=models.MatchValue(value=one.version))],
    )


def prefetches(text: str, vector: Sequence[float], chosen: models.Filter, limit: int) -> list[models.Prefetch]:
    """The candidates by meaning, and those by words: points with more than half of the query's words, by BM25.

    Rank fusion puts the best by words beside the best by meaning however little it shares with the query: without the
    bound, one accidental word in common would outrank the right answer to a question in other words.
    """
    candidates = max(2 * limit, MIN_CANDIDATES)
    stages = [models.Prefetch(query=list(vector), using=DENSE, filter=chosen, limit=candidates)]
    asked = presence_vector(text)
    count = len(asked.indices)
    if count:
        most = models.Prefetch(
            query=_sparse(presence_vector(text, 1 / count)),
            using=TERMS,
            filter=chosen,
            score_threshold=(count // 2 + 0.5) / count,
            limit=max(candidates, TERM_CANDIDATES),
        )
        stages.append(
            models.Prefetch(prefetch=[most], query=_sparse(asked), using=WORDS, filter=chosen, limit=candidates)
        )
    return stages


def _point(point: Point) -> dict[str, Any]:
    words = document_vector(point.payload["text"])
    return {
        "id": point.id,
        "vector": {
            DENSE: np.asarray(point.vector, dtype=np.float32),
            WORDS: {"indices": words.indices, "values": np.asarray(words.values, dtype=np.float32)},
            TERMS: {"indices": words.indices, "values": [1.0] * len(words.indices)},
        },
        "payload": point.payload,
    }


def _sparse(vector: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=vector.indices, values=vector.values)
