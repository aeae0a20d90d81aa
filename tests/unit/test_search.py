"""The search use case."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from codeforge.errors import InvalidInput, RowRejected
from codeforge.records.model import TextKind
from codeforge.search import Search
from codeforge.stores.ports import Hit, PageVersion, Point
from codeforge.worker_types import WorkerType

HIT = Hit(
    id="8b1a7a2e-0000-5000-8000-000000000001",
    score=0.5,
    payload={
        "task_id": "t1",
        "type": "scrape",
        "kind": "chunk",
        "tenant": "acme",
        "url": "https://a.example/",
        "created_at": 1_700_000_000_123,
        "text": "Some text.",
        "version": "abc",
    },
)


class Vectors:
    """Answers with HIT and notes what it was asked."""

    def __init__(self, hits: Sequence[Hit] = (HIT,)) -> None:
        self.hits = list(hits)
        self.asked: dict[str, Any] = {}

    async def search(self, tenant: str, text: str, vector: Sequence[float], **narrowed: Any) -> list[Hit]:
        self.asked = {"tenant": tenant, "text": text, "vector": vector, **narrowed}
        return self.hits[: narrowed["limit"]]

    async def upsert(self, points: Sequence[Point]) -> None: ...

    async def forget_older(self, versions: Sequence[PageVersion]) -> None: ...

    async def answering(self, tenant: str, keys: Sequence[str], since: int, limit: int) -> list[str]:
        return []

    async def count(self, tenant: str | None = None) -> int:
        return len(self.hits)

    async def prepare(self) -> None: ...

    async def fits(self) -> bool:
        return True

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


class Embedder:
    """Each text's vector is its length."""

    dim = 1

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[float(len(text))] for text in texts]

    async def close(self) -> None: ...


def test_a_hit_is_told_with_its_task_and_time() -> None:
    (item,) = asyncio.run(Search(Vectors(), Embedder()).query("acme", "words"))

    assert item.model_dump(mode="json") == {
        "text": "Some text.",
        "score": 0.5,
        "task_id": "t1",
        "url": "https://a.example/",
        "version": "abc",
        "type": "scrape",
        "kind": "chunk",
        "created_at": "2023-11-14T22:13:20.123Z",
    }
    assert item.created_at == datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC)


def test_the_store_is_asked_for_the_tenant_by_words_and_vector() -> None:
    vectors = Vectors()

    asyncio.run(Search(vectors, Embedder()).query("acme", "  words ", WorkerType.SCRAPE, TextKind.PAGE, 5))

    assert vectors.asked == {
        "tenant": "acme",
        "text": "words",
        "vector": [5.0],
        "type": "scrape",
        "kind": "page",
        "limit": 5,
    }


def test_nothing_found_is_an_empty_list() -> None:
    assert asyncio.run(Search(Vectors(hits=()), Embedder()).query("acme", "words")) == []


@pytest.mark.parametrize("q", ["", "   ", "x" * 1_001])
def test_a_query_that_is_empty_or_too_long_names_its_field(q: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        asyncio.run(Search(Vectors(), Embedder()).query("acme", q))

    assert refusal.value.field == "q"


def test_a_query_that_the_embeddings_refuse_names_its_field() -> None:
    class Refusing(Embedder):
        async def embed(self, texts: Sequence[str]) -> list[list[float]]:
            raise RowRejected("no")

    with pytest.raises(InvalidInput) as raised:
        asyncio.run(Search(Vectors(), Refusing()).query("acme", "word"))
    assert raised.value.field == "q"


@pytest.mark.parametrize("limit", [0, -1, 101])
def test_a_limit_out_of_range_names_its_field(limit: int) -> None:
    with pytest.raises(InvalidInput) as refusal:
        asyncio.run(Search(Vectors(), Embedder()).query("acme", "words", limit=limit))

    assert refusal.value.field == "limit"


def test_the_longest_query_is_taken() -> None:
    assert asyncio.run(Search(Vectors(), Embedder()).query("acme", "x" * 1_000))


def page_hit(number: int, document: str, fetched_at: int) -> Hit:
    payload = {**HIT.payload, "kind": "page", "document": document, "fetched_at": fetched_at, "task_id": f"t{number}"}
    return Hit(id=f"8b1a7a2e-0000-5000-8000-{number:012}", score=1 / number, payload=payload)


def test_a_page_that_many_tasks_fetched_is_shown_once_as_it_was_fetched_last() -> None:
    repeated = [page_hit(number, "a", fetched_at=number) for number in range(1, 40)]
    others = [page_hit(number, f"b{number}", fetched_at=1) for number in range(40, 60)]
    items = asyncio.run(Search(Vectors([*repeated, *others]), Embedder()).query("acme", "x", limit=5))
    assert [item.task_id for item in items] == ["t39", "t40", "t41", "t42", "t43"]
    assert items[0].score == 1.0
