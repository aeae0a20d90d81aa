"""The search use case: hybrid search over the results of a tenant's tasks."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, field_serializer

from codeforge.errors import InvalidInput, RowRejected
from codeforge.records.model import TextKind
from codeforge.stores.ports import Embedder, Hit, VectorStore
from codeforge.worker_types import WorkerType

MAX_QUERY_CHARS = 1_000
MAX_LIMIT = 100
MAX_LOOKED_AT = 1_000
"""Points of one query, most of which may be the same page as many tasks fetched it."""


class SearchItem(BaseModel):
    """One hit. `score` orders the hits of one query and compares across none; `url` is the page's, where there is
    one, and `version` the hash of the text that it had; `created_at` is when the task was submitted, in UTC (in
    JSON: RFC 3339 with milliseconds, as tasks have it)."""

    model_config = ConfigDict(frozen=True)

    text: str
    score: float
    task_id: str
    url: str | None
    version: str | None = None
    type: str
    kind: str
    created_at: datetime

    @field_serializer("created_at", when_used="json")
    def _to_milliseconds(self, moment: datetime) -> str:
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Search:
    """Finds texts by words and by meaning."""

    def __init__(self, vectors: VectorStore, embedder: Embedder) -> None:
        self._vectors = vectors
        self._embedder = embedder

    async def query(
        self, tenant: str, q: str, type: WorkerType | None = None, kind: TextKind | None = None, limit: int = 10
    ) -> list[SearchItem]:
        """At most `limit` hits of the tenant's own, best first; `type` and `kind` narrow them.

        Raises InvalidInput for a `q` that is empty, over MAX_QUERY_CHARS or refused by the embeddings service, or a
        `limit` outside 1 to MAX_LIMIT; EmbeddingsUnavailable and VectorsUnavailable.
        """
        text = q.strip()
        if not 1 <= len(text) <= MAX_QUERY_CHARS:
            raise InvalidInput(f"expected 1 to {MAX_QUERY_CHARS} characters", field="q")
        if not 1 <= limit <= MAX_LIMIT:
            raise InvalidInput(f"expected 1 to {MAX_LIMIT}", field="limit")
        try:
            (vector,) = await self._embedder.embed([text])
        except RowRejected as error:
            raise InvalidInput("the embeddings service does not take it", field="q") from error
        size = limit
        while True:
            hits = await self._vectors.search(
                tenant, text, vector, type=type and type.value, kind=kind and kind.value, limit=size
            )
            shown = _each_page_once(hits)
            if len(shown) >= limit or len(hits) < size or size == MAX_LOOKED_AT:
                return [_item(hit) for hit in shown[:limit]]
            size = min(4 * size, MAX_LOOKED_AT)


def _each_page_once(hits: Sequence[Hit]) -> list[Hit]:
    """A page that several tasks fetched stands where it is found best, as it was fetched last."""
    shown: dict[str, Hit] = {}
    for hit in hits:
        key = hit.payload["document"] if hit.payload["kind"] == TextKind.PAGE and "document" in hit.payload else hit.id
        best = shown.setdefault(key, hit)
        if hit.payload.get("fetched_at", 0) > best.payload.get("fetched_at", 0):
            shown[key] = replace(hit, score=best.score)
    return list(shown.values())


def _item(hit: Hit) -> SearchItem:
    payload = hit.payload
    return SearchItem(
        text=payload["text"],
        score=hit.score,
        task_id=payload["task_id"],
        url=payload.get("url"),
        version=payload.get("version"),
        type=payload["type"],
        kind=payload["kind"],
        created_at=datetime.fromtimestamp(payload["created_at"] / 1_000, UTC),
    )
