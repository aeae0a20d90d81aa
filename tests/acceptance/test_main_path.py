"""What a newcomer does: POST a task, read its result, find it in the graph, in search and in the metrics."""

import json
import time
from typing import Any

import httpx
import pytest

from tests.acceptance.stack import Stack, eventually, in_time
from tests.patience import PATIENCE_S
from tests.servers.site import Site

pytestmark = pytest.mark.slow


def test_three_pages_reach_the_result_the_graph_search_and_the_metrics(stack: Stack, site: Site) -> None:
    urls = [site.url(path) for path in ("/bread", "/volcano", "/bicycle")]
    answer = stack.client.post("/tasks", json={"type": "scrape", "input": {"urls": urls}, "labels": {"run": "main"}})
    assert answer.status_code == 202
    assert answer.json()["state"] == "queued"
    task_id = answer.json()["id"]
    assert answer.json()["links"]["self"] == f"/tasks/{task_id}"

    task = stack.finished(task_id)
    assert task["state"] == "succeeded"
    assert task["result"]["failed"] == []
    assert [page["url"] for page in task["result"]["pages"]] == urls
    for page in task["result"]["pages"]:
        assert page["status_code"] == 200
        assert page["method"] == "standard"
        assert page["title"]
        assert len(page["markdown"]) > 100
        assert page["links"]

    rows = stack.cypher("MATCH (t:Task {id: $id})-[:FETCHED]->(d:Document) RETURN d.url AS url", id=task_id)
    assert sorted(row["url"] for row in rows) == sorted(urls)
    links = stack.cypher(
        "MATCH (:Task {id: $id})-[:FETCHED]->(a:Document)-[:LINKS_TO]->(b:Document) RETURN a.url AS a, b.url AS b",
        id=task_id,
    )
    assert {row["a"] for row in links} <= set(urls)
    assert links

    found = stack.client.get("/search", params={"q": "how to fix a flat tyre on my two-wheeler"}).json()["items"]
    assert found[0]["url"] == site.url("/bicycle")
    assert found[0]["task_id"] == task_id

    graph = stack.client.get(f"/tasks/{task_id}/graph").json()
    assert {node["label"] for node in graph["nodes"]} >= {"Task", "Document"}
    assert any(edge["type"] == "FETCHED" for edge in graph["edges"])

    metrics = stack.client.get("/metrics").text
    assert 'codeforge_tasks_finished_total{outcome="succeeded",type="scrape"}' in metrics
    assert 'codeforge_task_duration_seconds_bucket{le="0.01",type="scrape"}' in metrics
    listed = stack.client.get("/tasks", params={"label": "run=main"}).json()
    assert [item["id"] for item in listed["items"]] == [task_id]


def test_a_task_is_accepted_within_50_ms(stack: Stack, site: Site) -> None:
    ids: list[str] = []

    def accepted_after_s() -> float:
        started = time.monotonic()
        ids.append(stack.submit("scrape", {"urls": [site.url("/tiny")]}))
        return time.monotonic() - started

    stack.client.get("/healthz")  # the connection is open: the figures are the submissions' own
    assert in_time(accepted_after_s, 0.05)
    assert {stack.finished(task_id)["state"] for task_id in ids} == {"succeeded"}


def test_events_tell_the_story_and_resume(stack: Stack, site: Site) -> None:
    task_id = stack.submit("scrape", {"urls": [site.url("/bread")]})
    with stack.client.stream("GET", f"/tasks/{task_id}/events") as answer:
        blocks = _said(answer.read().decode())
    events = [block.split("\n") for block in blocks]
    kinds = [lines[1].removeprefix("event: ") for lines in events]
    assert kinds[0] == "queued"
    assert kinds[-1] == "succeeded"
    assert json.loads(events[-1][2].removeprefix("data: "))["state"] == "succeeded"
    resume_from = events[1][0].removeprefix("id: ")
    with stack.client.stream("GET", f"/tasks/{task_id}/events", headers={"Last-Event-ID": resume_from}) as answer:
        assert _said(answer.read().decode()) == blocks[2:]
    last = events[-1][0].removeprefix("id: ")
    assert stack.client.get(f"/tasks/{task_id}/events", headers={"Last-Event-ID": last}).status_code == 204


def _said(text: str) -> list[str]:
    """The events of a stream; what it says while there are none is left out."""
    return [block for block in text.split("\n\n") if block and not block.startswith(":")]


INPUTS: dict[str, dict[str, Any]] = {
    "analysis": {"question": "What does sourdough need?", "search": "none"},
    "debate": {"question": "Tabs or spaces?", "positions": ["tabs", "spaces"], "rounds": 1},
    "coding": {"prompt": "Write a function that adds two numbers.", "language": "python", "max_iterations": 1},
}

FIELDS = {
    "analysis": {"report", "claims", "sources"},
    "debate": {"transcript", "verdict", "control"},
    "coding": {"files", "diff", "tests", "iterations"},
}


@pytest.mark.parametrize("worker_type", INPUTS)
def test_model_tasks_give_every_field_and_are_in_both_stores(stack: Stack, site: Site, worker_type: str) -> None:
    task_input = dict(INPUTS[worker_type])
    if worker_type == "analysis":
        task_input["urls"] = [site.url("/bread")]
    task = stack.finished(stack.submit(worker_type, task_input))
    assert task["state"] == "succeeded", task["error"]
    assert set(task["result"]) >= FIELDS[worker_type]
    assert task["usage"]["output_tokens"] > 0
    calls = stack.cypher("MATCH (:Task {id: $id})-[:CALLED]->(c:ModelCall) RETURN count(c) AS calls", id=task["id"])
    assert calls[0]["calls"] > 0
    if worker_type == "coding":
        assert task["result"]["tests"] is None
        assert task["result"]["warnings"][0]["code"] == "sandbox_unavailable"
    hits = stack.client.get("/search", params={"q": "answer", "type": worker_type, "limit": 50}).json()["items"]
    assert task["id"] in {hit["task_id"] for hit in hits}


def test_two_hundred_tasks_and_every_count_agrees(stack: Stack, site: Site) -> None:
    before = _succeeded(stack)
    body = {
        "tasks": [
            {"type": "scrape", "input": {"urls": [site.url(f"/bread?n={n}")]}, "labels": {"run": "two-hundred"}}
            for n in range(200)
        ]
    }
    answer = stack.client.post("/tasks/batch", json=body, headers={"Idempotency-Key": "two-hundred"})
    assert answer.status_code == 202, answer.text
    ids = [item["id"] for item in answer.json()["items"]]
    again = stack.client.post("/tasks/batch", json=body, headers={"Idempotency-Key": "two-hundred"})
    assert again.headers["Idempotent-Replay"] == "true"
    assert [item["id"] for item in again.json()["items"]] == ids

    eventually(lambda: _stored(stack) >= 200, "200 stored", 90)
    rows = stack.cypher("MATCH (t:Task) WHERE t.id IN $ids AND t.state = 'succeeded' RETURN count(t) AS n", ids=ids)
    assert rows[0]["n"] == 200
    assert _succeeded(stack) - before == 200
    depth = stack.queues()["scrape"]
    assert (depth["queued"], depth["running"], depth["delayed"], depth["dead"]) == (0, 0, 0, 0)


def _stored(stack: Stack) -> int:
    params: dict[str, str | int] = {"label": "run=two-hundred", "state": "succeeded", "limit": 500}
    return sum(item["stored"] for item in stack.client.get("/tasks", params=params).json()["items"])


def _succeeded(stack: Stack) -> float:
    for line in stack.client.get("/metrics").text.splitlines():
        if line.startswith('codeforge_tasks_finished_total{outcome="succeeded",type="scrape"}'):
            return float(line.split()[-1])
    return 0.0


def test_cancel_reaches_a_running_task_within_two_seconds(stack: Stack, site: Site) -> None:
    assert in_time(lambda: _cancelled_after_s(stack, site), 2.5)


def _cancelled_after_s(stack: Stack, site: Site) -> float:
    task_id = stack.submit("scrape", {"urls": [site.url("/slow")]})
    eventually(lambda: stack.task(task_id)["state"] == "running", "running")
    asked = stack.client.get("/autoscale/scrape").json()
    assert asked == {"type": "scrape", "value": 1, "queued": 0, "running": 1}, "a running task keeps its pod"
    started = time.monotonic()
    assert stack.client.delete(f"/tasks/{task_id}").status_code == 202
    eventually(lambda: stack.task(task_id)["state"] == "cancelled", "cancelled")
    took_s = time.monotonic() - started
    assert stack.client.delete(f"/tasks/{task_id}").status_code == 409
    assert stack.client.get("/autoscale/scrape").json()["value"] == 0
    return took_s


@pytest.mark.usefixtures("monitored")
def test_flower_sees_the_tasks_behind_its_password(stack: Stack, site: Site) -> None:
    ready = stack.ready
    assert httpx.get(f"{ready['flower']}/api/workers", trust_env=False, timeout=PATIENCE_S).status_code == 401
    task_id = stack.submit("scrape", {"urls": [site.url("/bread")]})
    stack.finished(task_id)
    auth = (ready["flower_user"], ready["flower_password"])

    def seen() -> bool:
        page = f"{ready['flower']}/api/task/info/{task_id}"
        answer = httpx.get(page, auth=auth, trust_env=False, timeout=PATIENCE_S)
        return answer.status_code == 200 and answer.json()["state"] == "SUCCESS"

    assert eventually(seen, "the task in Flower")
