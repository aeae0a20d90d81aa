"""The vector store on each engine, as the contract tests use it."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Protocol
from uuid import NAMESPACE_URL, uuid4, uuid5

import httpx
from pydantic import SecretStr

from codeforge.stores.memory_vectors import MemoryVectorStore
from codeforge.stores.ports import Point, VectorStore
from codeforge.stores.qdrant import QdrantStore

DIM = 8


class VectorEngine(Protocol):
    """One engine with one collection of its own."""

    def store(self, dim: int = DIM, model: str | None = None) -> VectorStore:
        """A new store on the engine's collection."""
        ...


class MemoryVectors:
    """The fake."""

    def __init__(self) -> None:
        self._store: MemoryVectorStore | None = None
        self._dim = 0

    def store(self, dim: int = DIM, model: str | None = None) -> VectorStore:
        """The same data each time; another dimension gets a store that refuses to prepare."""
        if self._store is None:
            self._store, self._dim = MemoryVectorStore(dim), dim
        return self._store if dim == self._dim else MemoryVectorStore(dim, made_with=self._dim)


class QdrantVectors:
    """A server in Qdrant's wire format: the embedded one or a real one."""

    def __init__(self, url: str, api_key: SecretStr | None = None) -> None:
        self.url = url
        self.api_key = api_key
        self.collection = f"test-{uuid4().hex}"

    def store(self, dim: int = DIM, model: str | None = None) -> QdrantStore:
        """A new adapter."""
        return QdrantStore(self.url, self.api_key, self.collection, dim, model=model)

    def clear(self) -> None:
        """Deletes the collection, if there is one."""
        with self.client() as client:
            client.delete(f"/collections/{self.collection}").raise_for_status()

    def client(self) -> httpx.Client:
        """A plain HTTP client with the key."""
        headers = {} if self.api_key is None else {"api-key": self.api_key.get_secret_value()}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=20)


@contextlib.asynccontextmanager
async def opened(
    engine: VectorEngine, dim: int = DIM, model: str | None = None, *, prepared: bool = True
) -> AsyncIterator[VectorStore]:
    """A store, closed in the end."""
    store = engine.store(dim, model)
    try:
        if prepared:
            await store.prepare()
        yield store
    finally:
        await store.close()


def direction(*numbers: float) -> list[float]:
    """A vector of DIM numbers that begins so."""
    return [*numbers, *[0.0] * (DIM - len(numbers))]


def point(key: str, text: str, vector: Sequence[float], *, tenant: str = "acme", **payload: object) -> Point:
    """A point as the projector writes it; `key` makes its id."""
    whole = {"task_id": key, "type": "scrape", "kind": "chunk", "url": f"https://{key}.example/", "created_at": 1}
    return Point(str(uuid5(NAMESPACE_URL, key)), vector, {**whole, "tenant": tenant, "text": text, **payload})
