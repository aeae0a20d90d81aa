"""The Qdrant adapter: what it asks, and what it makes of failures."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from codeforge.errors import CodeForgeError, RowRejected, SettingsError, VectorsUnavailable
from codeforge.stores.ports import VectorStore
from codeforge.stores.qdrant import QdrantStore
from tests.contract.vector_engines import DIM, QdrantVectors, direction, opened, point
from tests.servers.canned import Answer, CannedServer, Request
from tests.servers.valkey import free_port

pytestmark = pytest.mark.anyio

KEY = "a-very-secret-key"
TIMEOUT_S = 0.5


def store_at(url: str, timeout_s: float = 10.0) -> QdrantStore:
    return QdrantStore(url, SecretStr(KEY), "c", DIM, timeout_s=timeout_s)


def failing(answer: Answer) -> CannedServer:
    return CannedServer(lambda _: answer)


async def failure_of(url: str, call: Callable[[VectorStore], Any], timeout_s: float = 10.0) -> CodeForgeError:
    store = store_at(url, timeout_s)
    try:
        with pytest.raises(CodeForgeError) as failure:
            await call(store)
    finally:
        await store.close()
    assert KEY not in str(failure.value)
    return failure.value


async def upsert(store: VectorStore) -> None:
    await store.upsert([point("a", "text", direction(1))])


async def search(store: VectorStore) -> None:
    await store.search("acme", "text", direction(1))


CALLS = (
    lambda store: store.prepare(),
    upsert,
    search,
    lambda store: store.count("acme"),
    lambda store: store.ping(),
)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for call in CALLS:
        failure = await failure_of(url, call)
        assert isinstance(failure, VectorsUnavailable)
        assert failure.retryable


async def test_a_server_that_does_not_answer_is_unavailable_in_time() -> None:
    with failing(Answer(hangs=True)) as server:
        for call in CALLS:
            begin = time.monotonic()
            failure = await failure_of(server.url, call, TIMEOUT_S)
            assert isinstance(failure, VectorsUnavailable)
            assert time.monotonic() - begin < TIMEOUT_S + 7  # the server gives up after ten


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, {"status": {"error": "Service internal error: disk full"}, "time": 0.0}),
        Answer(503, b"upstream connect error", {"Content-Type": "text/plain"}),
        Answer(404, {"detail": "Not Found"}),
        Answer(404, b"<html>no such page</html>", {"Content-Type": "text/html"}),
        Answer(429, {"status": {"error": "slow down"}, "time": 0.0}, {"Retry-After": "1"}),
        Answer(429, {"status": {"error": "slow down"}, "time": 0.0}),
        Answer(200, {"something": "else"}),
        Answer(200, b"<html>"),
        Answer(drops=True),
    ],
)
async def test_failures_that_may_pass_are_unavailable(answer: Answer) -> None:
    with failing(answer) as server:
        for call in (upsert, search):
            failure = await failure_of(server.url, call)
            assert isinstance(failure, VectorsUnavailable)
            assert failure.retryable


async def test_a_write_waits_for_a_collection_that_is_gone_and_a_read_finds_nothing() -> None:
    gone = Answer(404, {"status": {"error": "Not found: Collection `c` doesn't exist!"}, "time": 0.0})
    with failing(gone) as server:
        failure = await failure_of(server.url, upsert)
        store = store_at(server.url)
        assert await store.search("acme", "text", direction(1)) == []
        await store.close()
    assert isinstance(failure, VectorsUnavailable)
    assert failure.retryable


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_only_rows_can_be_rejected(status: int) -> None:
    with failing(Answer(status, {"status": {"error": "Wrong input: no good"}, "time": 0.0})) as server:
        rejected = await failure_of(server.url, upsert)
        asked = await failure_of(server.url, search)
    assert isinstance(rejected, RowRejected)
    assert "Wrong input: no good" in rejected.message
    assert isinstance(asked, VectorsUnavailable)
    assert not asked.retryable


@pytest.mark.parametrize("status", [401, 403])
async def test_a_wrong_key_is_named_and_no_rows_fault(status: int) -> None:
    with failing(Answer(status, b"Invalid API key or JWT")) as server:
        for call in CALLS:
            failure = await failure_of(server.url, call)
            assert isinstance(failure, VectorsUnavailable)
            assert "CODEFORGE_QDRANT_API_KEY" in failure.message


async def test_every_stage_of_a_search_is_the_tenants_own() -> None:
    with failing(Answer(200, {"result": {"points": []}, "status": "ok", "time": 0.0})) as server:
        store = store_at(server.url)
        assert await store.search("acme", "two words", direction(1), type="scrape", kind="chunk", limit=3) == []
        await store.close()
    (request,) = server.requests
    assert request.headers["api-key"] == KEY
    filters = [stage["filter"] for stage in stages(request.body)]
    assert len(filters) == 4  # meaning, words, and within words the terms; then the fusion
    assert all({"key": "tenant", "match": {"value": "acme"}} in given["must"] for given in filters)
    assert all(given == filters[0] and len(given["must"]) == 3 for given in filters)
    assert request.body["query"] == {"fusion": "rrf"}


def stages(query: dict[str, Any]) -> list[dict[str, Any]]:
    return [query, *(inner for stage in query.get("prefetch", []) for inner in stages(stage))]


async def test_who_only_searches_needs_no_key_that_can_write() -> None:
    reads = {("GET", "/collections/c/exists"), ("POST", "/collections/c/points/query")}
    reads |= {("POST", "/collections/c/points/scroll"), ("POST", "/collections/c/points/count")}
    with CannedServer(what_a_read_gets) as server:
        store = store_at(server.url)
        await store.ping()
        await store.search("acme", "text", direction(1))
        await store.answering("acme", ["key"], 0, 5)
        await store.count("acme")
        await store.close()
    assert {(request.method, request.path.partition("?")[0]) for request in server.requests} == reads


def what_a_read_gets(request: Request) -> Answer:
    result = {"exists": True, "points": [], "count": 0}
    return Answer(200, {"result": result, "status": "ok", "time": 0.0})


async def test_writes_wait_and_go_in_bounded_batches() -> None:
    with failing(Answer(200, {"result": {"operation_id": 1, "status": "completed"}, "status": "ok"})) as server:
        store = store_at(server.url)
        await store.upsert([point(f"p{n}", "text", direction(1)) for n in range(1_001)])
        await store.upsert([point(f"long{n}", "many words " * 60_000, direction(1)) for n in range(3)])
        await store.close()
    assert [len(request.body["points"]) for request in server.requests] == [500, 500, 1, 1, 1, 1]
    assert all(request.path == "/collections/c/points?wait=true" for request in server.requests)


async def test_the_collection_is_as_the_searches_need_it(qdrant: QdrantVectors) -> None:
    async with opened(qdrant, model="some/model"):
        with qdrant.client() as client:
            info = client.get(f"/collections/{qdrant.collection}").json()["result"]
    params = info["config"]["params"]
    assert params["vectors"]["dense"] | {"size": DIM, "distance": "Cosine"} == params["vectors"]["dense"]
    assert params["sparse_vectors"]["words"]["modifier"] == "idf"
    assert info["config"]["metadata"] == {"embeddings_model": "some/model"}
    assert {field: index["data_type"] for field, index in info["payload_schema"].items()} == dict.fromkeys(
        ("tenant", "task_id", "type", "kind", "document", "answers"), "keyword"
    )
    assert info["payload_schema"]["tenant"]["params"]["is_tenant"] is True


@pytest.mark.parametrize(("replicas", "asked"), [(1, (None, None)), (2, (2, 1)), (3, (3, 2))])
async def test_a_clusters_collection_has_replicas_of_which_one_may_be_away(
    replicas: int, asked: tuple[int | None, int | None]
) -> None:
    with CannedServer(lambda _: Answer(200, {"result": {"exists": False}, "status": "ok"})) as server:
        store = QdrantStore(server.url, None, "c", DIM, replicas=replicas)
        with pytest.raises(VectorsUnavailable):  # the creation's answer is none
            await store.prepare()
        await store.close()
    (made,) = [request for request in server.requests if request.method == "PUT"]
    assert (made.body.get("replication_factor"), made.body.get("write_consistency_factor")) == asked


async def test_a_collection_of_another_model_is_refused(qdrant: QdrantVectors) -> None:
    for accepted in ("some/model", "some/model", None):
        async with opened(qdrant, model=accepted):
            pass
    async with opened(qdrant, model="other/model", prepared=False) as other:
        with pytest.raises(SettingsError, match=r"CODEFORGE_EMBEDDINGS_MODEL.*some/model"):
            await other.prepare()


async def test_a_collection_that_someone_else_made_is_refused(qdrant: QdrantVectors) -> None:
    with qdrant.client() as client:
        spec = {"vectors": {"size": DIM, "distance": "Dot"}}
        client.put(f"/collections/{qdrant.collection}", json=spec).raise_for_status()
    async with opened(qdrant, prepared=False) as store:
        with pytest.raises(SettingsError, match="CODEFORGE_QDRANT_COLLECTION"):
            await store.prepare()


async def test_a_creation_that_another_process_won_is_no_failure(qdrant: QdrantVectors) -> None:
    async with opened(qdrant, prepared=False) as one, opened(qdrant, prepared=False) as other:
        await asyncio.gather(one.prepare(), other.prepare(), one.prepare(), other.prepare())
        assert await one.count() == 0


def test_no_key_is_sent_where_there_is_none() -> None:
    def answer(request: Request) -> Answer:
        assert "api-key" not in request.headers
        return Answer(200, {"result": {"exists": True}, "status": "ok", "time": 0.0})

    async def ping(url: str) -> None:
        store = QdrantStore(url, None, "c", DIM)
        await store.ping()
        await store.close()

    with CannedServer(answer) as server:
        asyncio.run(ping(server.url))
        assert len(server.requests) == 1
