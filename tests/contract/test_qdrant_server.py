"""The embedded Qdrant as a process: what it keeps through crashes, how it stops, and when it does not start."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from codeforge.errors import VectorsUnavailable
from codeforge.stores.ports import VectorStore
from tests.contract.vector_engines import QdrantVectors, direction, opened, point
from tests.servers.qdrant import QdrantServer, command

pytestmark = pytest.mark.anyio

EXIT_S = 60.0
STOP_S = 20.0
IDLE_MB = 120.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QdrantServer]:
    """A server of the test's own."""
    server = QdrantServer(tmp_path)
    server.start()
    yield server
    server.kill()


def outcome(*argv: str) -> tuple[int, list[str]]:
    """Exit code and the lines on standard error of a server that is expected to end by itself."""
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=EXIT_S, check=False)
    return ended.returncode, ended.stderr.splitlines()


async def filled(store: VectorStore, count: int) -> None:
    await store.upsert([point(f"p{n}", f"text number{n}", direction(1, n)) for n in range(count)])


async def test_acknowledged_points_survive_a_crash(server: QdrantServer) -> None:
    # Given points that were written, written again and deleted no moment ago
    engine = QdrantVectors(server.url)
    async with opened(engine) as store:
        await filled(store, 1_200)
        await store.upsert([point("p7", "rewritten", direction(-1))])
    # When the process is killed
    server.kill()
    server.start()
    # Then all is there
    async with opened(engine) as store:
        assert await store.count() == 1_200
        (hit,) = await store.search("acme", "rewritten", direction(-1), limit=1)
        assert hit.payload["text"] == "rewritten"
        await store.upsert([point("new", "after the crash", direction(1))])
        assert await store.count("acme") == 1_201


async def test_a_crash_between_writes_loses_none_that_was_acknowledged(server: QdrantServer) -> None:
    engine = QdrantVectors(server.url)
    acknowledged = 0
    enough = asyncio.Event()

    async def write(store: VectorStore) -> None:
        nonlocal acknowledged
        while True:
            await store.upsert([point(f"w{acknowledged}", "text", direction(1))])
            acknowledged += 1
            if acknowledged == 50:
                enough.set()

    async with opened(engine) as store:
        writer = asyncio.create_task(write(store))
        await asyncio.wait_for(enough.wait(), EXIT_S)
        await asyncio.to_thread(server.kill)
        with pytest.raises(VectorsUnavailable):
            await asyncio.wait_for(writer, EXIT_S)
        server.start()
        assert await store.count() in (acknowledged, acknowledged + 1)  # the last may have been written unheard


async def test_sigterm_stops_it_at_once_and_keeps_everything(server: QdrantServer) -> None:
    engine = QdrantVectors(server.url)
    async with opened(engine) as store:
        await filled(store, 600)
        code, seconds = await asyncio.to_thread(server.stop)
        assert code == 0
        assert seconds < STOP_S
        assert server.log.count("\n") == 1  # the line that says where it serves
        with pytest.raises(VectorsUnavailable):
            await store.ping()
        server.start()
        await store.ping()
        assert await store.count() == 600


def test_sigterm_right_after_the_start_is_heard(server: QdrantServer) -> None:
    for _ in range(3):
        code, seconds = server.stop()
        assert code == 0
        assert seconds < STOP_S
        server.start()


def test_it_is_small_when_idle(server: QdrantServer) -> None:
    assert server.resident_mb < IDLE_MB


def test_a_path_has_one_owner(server: QdrantServer) -> None:
    code, lines = outcome(*command(server.directory / "data", 0))
    assert code == 1
    assert len(lines) == 1
    assert "in use by another process" in lines[0]
    assert httpx.get(f"{server.url}/readyz", trust_env=False, timeout=EXIT_S).status_code == 200


def test_a_port_in_use_is_one_line(server: QdrantServer, tmp_path: Path) -> None:
    code, lines = outcome(*command(tmp_path / "other", server.port))
    assert code == 1
    assert lines == [f"port {server.port} on 127.0.0.1 cannot be used: Address already in use"]


@pytest.mark.parametrize(
    ("host", "port", "says"),
    [("0.0.0.0", 0, "not a loopback address"), ("127.0.0.1", 70_000, "port 70000 on 127.0.0.1 cannot be used")],
)
def test_an_address_that_it_cannot_serve_is_one_line(tmp_path: Path, host: str, port: int, says: str) -> None:
    code, lines = outcome(*command(tmp_path / "data", port, host))
    assert code == 1
    assert len(lines) == 1
    assert says in lines[0]


def test_a_damaged_collection_is_one_line(server: QdrantServer) -> None:
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        client.put("/collections/c", json={"vectors": {"size": 3, "distance": "Dot"}}).raise_for_status()
    server.stop()
    config = server.directory / "data" / "c" / "collection.json"
    config.write_text(config.read_text()[:-5])
    code, lines = outcome(*command(server.directory / "data", 0))
    assert code == 1
    assert str(config.parent) in lines[0]


def test_left_overs_of_a_crash_between_two_steps_are_removed(server: QdrantServer) -> None:
    data = server.directory / "data"
    server.kill()
    for name in (".new-half", ".old-gone"):
        (data / name / "shard").mkdir(parents=True)
    server.start()
    assert [path.name for path in data.iterdir()] == [".lock"]


def test_a_removed_collection_does_not_come_back(server: QdrantServer) -> None:
    spec = {"vectors": {"size": 3, "distance": "Dot"}}
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        client.put("/collections/kept", json=spec).raise_for_status()
        client.put("/collections/gone", json=spec).raise_for_status()
        client.put("/collections/kept/points", json={"points": [{"id": 1, "vector": [1, 2, 3]}]}).raise_for_status()
        client.delete("/collections/gone").raise_for_status()
    server.kill()
    server.start()
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        assert client.get("/collections").json()["result"]["collections"] == [{"name": "kept"}]
        (record,) = client.post("/collections/kept/points", json={"ids": [1], "with_vector": True}).json()["result"]
    assert record["vector"] == [1, 2, 3]


NEAREST: dict[str, Any] = {"query": [1, 2, 3]}


@pytest.mark.parametrize(
    ("method", "path", "body", "says"),
    [
        ("POST", "/points/query", NEAREST | {"filter": {"must": [{"key": "a", "match": {"text": "b"}}]}}, "match.text"),
        ("POST", "/points/query", NEAREST | {"filter": {"must": [{"key": "a", "geo_radius": {}}]}}, "geo_radius"),
        ("POST", "/points/query", NEAREST | {"filter": {"musst": []}}, "musst"),
        ("POST", "/points/query", NEAREST | {"lookup_from": {"collection": "x"}}, "lookup_from"),
        ("POST", "/points/query", NEAREST | {"params": {"indexed_only": True}}, "indexed_only"),
        ("POST", "/points/query", {"query": {"recommend": {"positive": [1]}}}, "recommend"),
        ("POST", "/points/query", {"query": {"sample": "random"}}, "sample"),
        ("POST", "/points/scroll", {"order_by": "a"}, "order_by"),
        ("POST", "/points/count?timeout=1", {}, "timeout"),
        ("PUT", "/points", {"points": [{"id": 1, "vector": [1, 2, 3]}], "update_mode": "insert_only"}, "update_mode"),
        ("PUT", "/points", {"batch": {"ids": [1], "vectors": [[1, 2, 3]]}}, "batch"),
        ("PUT", "/index", {"field_name": "a", "field_schema": "geo"}, "field_schema"),
        ("PUT", "", {"vectors": {"size": 3, "distance": "Dot"}, "hnsw_config": {"m": 4}}, "hnsw_config"),
        ("PUT", "", {"vectors": {"size": 3, "distance": "Dot"}, "replication_factor": 2}, "replication_factor"),
    ],
)
def test_what_it_does_not_do_is_refused_by_name(
    embedded_qdrant: QdrantVectors, method: str, path: str, body: dict[str, Any], says: str
) -> None:
    with embedded_qdrant.client() as client:
        own = f"/collections/{embedded_qdrant.collection}"
        client.put(own, json={"vectors": {"size": 3, "distance": "Dot"}}).raise_for_status()
        response = client.request(method, own + path, json=body)
    assert response.status_code == 400
    assert says in response.json()["status"]["error"]


def test_routes_that_it_does_not_have_are_refused(embedded_qdrant: QdrantVectors) -> None:
    with embedded_qdrant.client() as client:
        for method, path in (("GET", "/telemetry"), ("POST", "/collections/aliases"), ("PATCH", "/collections/x")):
            response = client.request(method, path)
            assert response.status_code in (404, 405)
            assert response.json()["status"]["error"]


def test_a_body_over_the_limit_is_refused(embedded_qdrant: QdrantVectors) -> None:
    with embedded_qdrant.client() as client:
        own = f"/collections/{embedded_qdrant.collection}"
        client.put(own, json={"vectors": {"size": 3, "distance": "Dot"}}).raise_for_status()
        response = client.put(f"{own}/points", content=b" " * (33 * 1024 * 1024))
    assert response.status_code == 413
    assert response.json()["status"]["error"]


def test_a_name_that_could_leave_the_directory_is_refused(embedded_qdrant: QdrantVectors) -> None:
    with embedded_qdrant.client() as client:
        spec = {"vectors": {"size": 3, "distance": "Dot"}}
        for name in ("%2E%2E", "a%2Fb", ".new-x", "a" * 256):
            response = client.put(f"/collections/{name}", json=spec)
            assert response.status_code in (400, 404)
            assert response.json()["status"]["error"]
