"""Search, lineage, queues, health, metrics, and the description of it all."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from codeforge.errors import EmbeddingsUnavailable, VectorsUnavailable
from codeforge.ledger.memory import MemoryLedger
from codeforge.ledger.port import LedgerSnapshot
from codeforge.stores.memory_vectors import HashEmbedder
from codeforge.stores.ports import Edge, GraphBatch, Node, Point
from codeforge.worker_types import WorkerType
from tests.unit.api.door import Door, opened, problem_of

pytestmark = pytest.mark.anyio

CONTRACT_METRICS = {
    "codeforge_tasks_submitted_total", "codeforge_tasks_finished_total", "codeforge_task_duration_seconds",
    "codeforge_task_queue_wait_seconds", "codeforge_tasks_queued", "codeforge_tasks_running",
    "codeforge_task_attempts_total", "codeforge_llm_requests_total", "codeforge_llm_tokens_total",
    "codeforge_llm_cost_usd_total", "codeforge_outbox_lag", "codeforge_projection_batch_size",
    "codeforge_projection_seconds", "codeforge_store_errors_total", "codeforge_ledger_errors_total",
}  # fmt: skip


async def indexed(door: Door, text: str, tenant: str = "default", **payload: Any) -> None:
    (vector,) = await HashEmbedder(16).embed([text])
    values = {"task_id": "t1", "type": "scrape", "kind": "page", "url": "https://example.org/", "created_at": 1_500}
    await door.vectors.upsert([Point(str(uuid4()), vector, values | {"tenant": tenant, "text": text} | payload)])


async def test_search_gives_the_tenant_s_hits_best_first(door: Door) -> None:
    await indexed(door, "the cat sat on the mat")
    await indexed(door, "stocks fell on Monday", url=None)
    await indexed(door, "the cat of another tenant", tenant="rival")
    body = (await door.http.get("/search", params={"q": "cat mat"})).json()
    assert body["next_cursor"] is None
    assert [item["text"] for item in body["items"]] == ["the cat sat on the mat", "stocks fell on Monday"]
    first = body["items"][0]
    assert first["score"] > body["items"][1]["score"]
    assert (first["task_id"], first["url"], first["created_at"]) == (
        "t1", "https://example.org/", "1970-01-01T00:00:01.500Z"
    )  # fmt: skip


async def test_search_is_narrowed(door: Door) -> None:
    await indexed(door, "a page")
    await indexed(door, "a report", type="analysis", kind="report")
    for query in ("type=analysis", "kind=report", "limit=1&type=analysis"):
        items = (await door.http.get(f"/search?q=a&{query}")).json()["items"]
        assert [item["text"] for item in items] == ["a report"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "q"),
        ({"q": ""}, "q"),
        ({"q": "  "}, "q"),
        ({"q": "x" * 1_001}, "q"),
        ({"q": "a", "limit": 0}, "limit"),
        ({"q": "a", "limit": 101}, "limit"),
        ({"q": "a", "limit": "5.0"}, "limit"),
        ({"q": "a", "type": "sing"}, "type"),
        ({"q": "a", "kind": "pages"}, "kind"),
        ({"q": "a", "kind": ""}, "kind"),
    ],
)
async def test_wrong_search_names_the_parameter(door: Door, query: dict[str, Any], field: str) -> None:
    problem = problem_of(await door.http.get("/search", params=query), 422)
    assert (problem["code"], problem["field"]) == ("invalid_input", field)


@pytest.mark.parametrize("error", [VectorsUnavailable("away"), EmbeddingsUnavailable("away")])
async def test_search_without_its_store_is_503(door: Door, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(door.vectors, "search", fail)
    assert problem_of(await door.http.get("/search", params={"q": "a"}), 503)["code"] == error.code  # type: ignore[attr-defined]


async def test_graph_of_a_stored_task(door: Door) -> None:
    task_id = await door.submitted()
    nodes = [Node("Task", task_id, {"tenant": "default"}), Node("Document", "d1", {"tenant": "default", "title": "T"})]
    edge = Edge("FETCHED", ("Task", task_id), ("Document", "d1"), {"n": 1})
    await door.graph.write(GraphBatch(nodes, [edge]))
    body = (await door.http.get(f"/tasks/{task_id}/graph")).json()
    assert [(node["id"], node["label"]) for node in body["nodes"]] == [(task_id, "Task"), ("d1", "Document")]
    assert body["nodes"][1]["props"]["title"] == "T"
    assert body["edges"] == [{"type": "FETCHED", "from": task_id, "to": "d1", "props": {"n": 1}}]


async def test_graph_of_a_task_that_is_not_stored_yet_is_empty(door: Door) -> None:
    answer = await door.http.get(f"/tasks/{await door.submitted()}/graph")
    assert (answer.status_code, answer.json()) == (200, {"nodes": [], "edges": []})


async def test_graph_without_its_store_is_503(door: Door) -> None:
    task_id = await door.submitted()
    door.graph.down = True
    assert problem_of(await door.http.get(f"/tasks/{task_id}/graph"), 503)["code"] == "graph_unavailable"


async def test_queues_gives_the_depths_of_every_type(door: Door) -> None:
    await door.submitted()
    await door.submitted(delay_s=60)
    await door.claimed(await door.submitted())
    body = (await door.http.get("/queues")).json()
    assert body["next_cursor"] is None
    items = {item.pop("type"): item for item in body["items"]}
    assert set(items) == {worker_type.value for worker_type in WorkerType}
    age = items["scrape"].pop("oldest_queued_s")
    held = {"held": 0, "held_by_tenant": 0}
    assert items["scrape"] == {"queued": 1, "running": 1, "delayed": 1, "dead": 0, "workers": 1, "slots": 10} | held
    assert 0 <= age < 60


async def test_health_is_the_process_s_own(door: Door) -> None:
    door.ledger.down = door.graph.down = True
    assert (await door.http.get("/healthz")).status_code == 200


async def test_readiness_is_told_part_by_part(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    ok = {"ledger": "ok", "graph": "ok", "vectors": "ok"}
    answer = await door.http.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "parts": ok})
    door.graph.down = True
    answer = await door.http.get("/readyz")
    parts = ok | {"graph": "graph_unavailable"}
    assert (answer.status_code, answer.json()) == (200, {"status": "degraded", "parts": parts})
    door.ledger.down = True
    answer = await door.http.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "not_ready")
    assert answer.json()["parts"] == parts | {"ledger": "ledger_unavailable"}


async def test_part_that_does_not_answer_is_not_waited_for(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.api.operations.CHECK_TIMEOUT_S", 0.01)
    monkeypatch.setattr(door.vectors, "ping", asyncio.Event().wait)
    assert (await door.http.get("/readyz")).json()["parts"]["vectors"] == "timeout"


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """(name, label values by the labels' names) -> value. None may come twice, as it may not for Prometheus."""
    found: dict[tuple[str, tuple[str, ...]], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, tuple(sample.labels.values()))
            assert key not in found, key
            found[key] = sample.value
    return found


async def test_metrics_hold_every_name_of_the_contract_once(door: Door) -> None:
    answer = await door.http.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    kinds = [line.split()[2] for line in answer.text.splitlines() if line.startswith("# TYPE")]
    assert set(kinds) >= CONTRACT_METRICS
    assert len(kinds) == len(set(kinds))


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain", "text/html"])
async def test_who_asks_for_no_other_format_gets_the_text_that_every_reader_knows(door: Door, accept: str) -> None:
    answer = await door.http.get("/metrics", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


PROMETHEUS_ACCEPTS = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_openmetrics_has_the_trace_of_an_observation(door: Door) -> None:
    task_id = await door.submitted()
    door.ledger.rows[task_id].set(trace=TRACE)
    await door.claimed(task_id)
    answer = await door.http.get("/metrics", headers={"Accept": PROMETHEUS_ACCEPTS})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in openmetrics_families(answer.text)}
    assert {name for name in families if name.startswith("codeforge_")} >= {
        name.removesuffix("_total") for name in CONTRACT_METRICS
    }
    waits = families["codeforge_task_queue_wait_seconds"].samples
    assert [sample.exemplar.labels for sample in waits if sample.exemplar] == [{"trace_id": TRACE[3:35]}]
    assert TRACE[3:35] not in (await door.http.get("/metrics")).text


async def test_metrics_count_what_happened(door: Door) -> None:
    await door.finished(await door.submitted())
    await door.submitted()
    found = samples((await door.http.get("/metrics")).text)
    assert found["codeforge_tasks_submitted_total", ("scrape",)] == 2
    assert found["codeforge_tasks_finished_total", ("succeeded", "scrape")] == 1
    assert found["codeforge_task_attempts_total", ("succeeded", "scrape")] == 1
    assert found["codeforge_tasks_queued", ("scrape",)] == 1
    assert found["codeforge_tasks_queued", ("coding",)] == 0
    assert found["codeforge_task_queue_wait_seconds_count", ("scrape",)] == 1
    assert found["codeforge_outbox_lag", ()] == 1
    assert found["codeforge_ledger_errors_total", ()] == 0


class Hanging(MemoryLedger):
    """Never tells its depths."""

    async def snapshot(self) -> LedgerSnapshot:
        await asyncio.Event().wait()
        raise AssertionError


@pytest.fixture(params=["down", "hanging"])
def outage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MemoryLedger:
    monkeypatch.setattr("codeforge.api.operations.SNAPSHOT_TIMEOUT_S", 0.01)
    ledger = Hanging() if request.param == "hanging" else MemoryLedger()
    ledger.down = request.param == "down"
    return ledger


async def test_outage_of_the_ledger_is_an_error_metric_and_no_zero(outage: MemoryLedger) -> None:
    async with opened(outage) as door:
        for errors in (1, 2):
            answer = await door.http.get("/metrics")
            found = samples(answer.text)
            assert answer.status_code == 200
            assert found["codeforge_ledger_errors_total", ()] == errors
            assert {name for name, _ in found if name.startswith("codeforge_")} <= {
                "codeforge_ledger_errors_total", "codeforge_ledger_errors_created"
            }  # fmt: skip


async def test_requests_that_the_ledger_failed_are_counted(door: Door) -> None:
    door.ledger.down = True
    await door.http.get("/tasks")
    door.ledger.down = False
    assert samples((await door.http.get("/metrics")).text)["codeforge_ledger_errors_total", ()] == 1


async def test_bug_of_the_service_is_logged_and_shows_nothing(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(*_: object) -> None:
        raise KeyError("a secret")

    monkeypatch.setattr(door.ledger, "get", crash)
    with capture_logs() as logs:
        answer = await door.http.get("/tasks/01890000-0000-7000-8000-000000000000")
    assert problem_of(answer, 500)["code"] == "internal_error"
    assert "secret" not in answer.text
    assert [entry["event"] for entry in logs] == ["request_crashed"]


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


async def test_description_names_every_route_and_lacks_nothing(door: Door) -> None:
    description = (await door.http.get("/openapi.json")).json()
    assert {(path, method) for path, methods in description["paths"].items() for method in methods} == {
        ("/tasks", "post"), ("/tasks", "get"), ("/tasks/batch", "post"), ("/tasks/{task_id}", "get"),
        ("/tasks/{task_id}", "delete"), ("/tasks/{task_id}/replay", "post"), ("/tasks/{task_id}/events", "get"),
        ("/tasks/{task_id}/graph", "get"), ("/search", "get"), ("/queues", "get"), ("/healthz", "get"),
        ("/readyz", "get"), ("/metrics", "get"), ("/claims/{claim_id}/why", "get"),
            ("/autoscale/{type}", "get"),
    }  # fmt: skip
    for reference in references(description):
        part = description
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]
    body = description["paths"]["/tasks"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["type"]["enum"] == [worker_type.value for worker_type in WorkerType]


async def test_clients_are_closed_with_the_app() -> None:
    async with opened() as door:
        assert not door.ledger.closed
    assert door.ledger.closed
