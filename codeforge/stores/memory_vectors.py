"""A vector store and an embedder in memory, for unit tests: the same answers to the same contract, no process."""

import math
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from codeforge.errors import RowRejected, SettingsError
from codeforge.stores.ports import MAX_ANSWERING, Hit, PageVersion, Point, newest_tasks
from codeforge.stores.sparse import document_vector, presence_vector

RRF_K = 2
"""Qdrant's constant of reciprocal rank fusion."""


class MemoryVectorStore:
    """A `VectorStore` of `dim` dimensions; `made_with` is the dimension of the collection that was there before."""

    def __init__(self, dim: int, *, made_with: int | None = None) -> None:
        self._dim = dim
        self._made_with = made_with
        self._points: dict[str, Point] = {}

    async def prepare(self) -> None:
        """See `VectorStore.prepare`."""
        await self.fits()
        self._made_with = self._dim

    async def fits(self) -> bool:
        """See `VectorStore.fits`."""
        if self._made_with not in (None, self._dim):
            raise SettingsError(
                f"CODEFORGE_EMBEDDINGS_DIM: {self._dim}, but the store has vectors of {self._made_with}"
            )
        return self._made_with is not None

    async def upsert(self, points: Sequence[Point]) -> None:
        """See `VectorStore.upsert`."""
        for point in points:
            if len(point.vector) != self._dim:
                raise RowRejected(f"vector of {len(point.vector)} instead of {self._dim}")
            try:
                UUID(point.id)
            except ValueError as error:
                raise RowRejected(f"{point.id} is no UUID") from error
        self._points |= {point.id: point for point in points}

    async def forget_older(self, versions: Sequence[PageVersion]) -> None:
        """See `VectorStore.forget_older`."""
        for one in versions:
            self._points = {id: point for id, point in self._points.items() if not _is_older(point.payload, one)}

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
        wanted = {"tenant": tenant, "type": type, "kind": kind}
        chosen = [point for point in self._points.values() if _matches(point.payload, wanted)]
        by_meaning = sorted(chosen, key=lambda point: -_dot(_unit(point.vector), _unit(vector)))
        scores: dict[str, float] = {}
        for ranking in (by_meaning, self._by_words(chosen, text)):
            for rank, point in enumerate(ranking):
                scores[point.id] = scores.get(point.id, 0.0) + 1 / (RRF_K + rank)
        best = sorted(scores.items(), key=lambda item: -item[1])[:limit]
        return [Hit(id, score, self._points[id].payload) for id, score in best]

    async def answering(self, tenant: str, keys: Sequence[str], since: int, limit: int) -> list[str]:
        """See `VectorStore.answering`."""
        payloads = [point.payload for point in self._points.values() if point.payload["tenant"] == tenant]
        fresh = [one for one in payloads if one.get("answers") in keys and one["created_at"] >= since]
        return newest_tasks(fresh[:MAX_ANSWERING], limit)

    async def count(self, tenant: str | None = None) -> int:
        """See `VectorStore.count`."""
        return sum(_matches(point.payload, {"tenant": tenant}) for point in self._points.values())

    async def ping(self) -> None:
        """See `VectorStore.ping`."""

    async def close(self) -> None:
        """See `VectorStore.close`."""

    def _by_words(self, chosen: Sequence[Point], text: str) -> list[Point]:
        """Those that have more than half of the query's words, by BM25."""
        asked = presence_vector(text).indices
        weights = {point.id: _weights(point) for point in self._points.values()}
        counts = {index: sum(index in held for held in weights.values()) for index in asked}

        def score(point: Point) -> float:
            held = weights[point.id]
            return sum(_idf(len(weights), counts[index]) * held.get(index, 0.0) for index in asked)

        found = [point for point in chosen if sum(index in weights[point.id] for index in asked) * 2 > len(asked)]
        return sorted(found, key=score, reverse=True)


class HashEmbedder:
    """An `Embedder` of words, not of meaning: texts that share words have like vectors. Deterministic."""

    def __init__(self, dim: int = 64) -> None:
        self._dim = dim

    @property
    def dim(self) -> int:
        """See `Embedder.dim`."""
        return self._dim

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """See `Embedder.embed`."""
        return [self._vector(text) for text in texts]

    async def close(self) -> None:
        """See `Embedder.close`."""

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * self._dim
        for index in presence_vector(text).indices:
            vector[index % self._dim] += 1.0
        return _unit(vector) if any(vector) else [1.0, *vector[1:]]


def _matches(payload: Mapping[str, object], wanted: Mapping[str, str | None]) -> bool:
    return all(value is None or payload.get(key) == value for key, value in wanted.items())


def _is_older(payload: Mapping[str, Any], than: PageVersion) -> bool:
    same = (payload.get("tenant"), payload.get("document")) == (than.tenant, than.document)
    return same and payload["version"] != than.version and payload["fetched_at"] < than.fetched_at


def _weights(point: Point) -> dict[int, float]:
    vector = document_vector(point.payload["text"])
    return dict(zip(vector.indices, vector.values, strict=True))


def _idf(points: int, holding: int) -> float:
    """Qdrant's form of it, which is never negative."""
    return math.log((points - holding + 0.5) / (holding + 0.5) + 1)


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _unit(vector: Sequence[float]) -> list[float]:
    length = math.sqrt(_dot(vector, vector))
    return [number / length for number in vector] if length else list(vector)
