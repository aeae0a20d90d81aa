"""Reading, listing, cancelling and replaying tasks."""

import re
from typing import Any

import pytest

from codeforge.ledger.port import Outcome
from codeforge.projection import Projector
from codeforge.stores.memory_vectors import HashEmbedder
from codeforge.stores.ports import GraphBatch, Node
from codeforge.task import ModelCall, Progress, TaskFailure
from tests.unit.api.door import Door, problem_of

pytestmark = pytest.mark.anyio

FAILED = Outcome("failed", error=TaskFailure("blocked", "it said no", False))
UNKNOWN = "01890000-0000-7000-8000-000000000000"
TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def get(door: Door, task_id: str) -> dict[str, Any]:
    answer = await door.http.get(f"/tasks/{task_id}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    body: dict[str, Any] = answer.json()
    return body


async def test_queued_task_has_every_field_of_the_contract(door: Door) -> None:
    task_id = await door.submitted(labels={"project": "x"})
    got = await get(door, task_id)
    assert TIME.fullmatch(got["created_at"])
    assert got == {
        "id": task_id, "type": "scrape", "state": "queued", "priority": "normal", "attempts": 0, "max_attempts": 3,
        "timeout_s": 600, "created_at": got["created_at"], "started_at": None, "finished_at": None,
        "not_before": None, "progress": None, "usage": {"input_tokens": 0, "output_tokens": 0, "usd": 0.0},
        "budget": None, "wait_s": 0.0, "run_s": 0.0, "sandbox_peak_bytes": None,
        "result": None, "error": None, "stored": False, "labels": {"project": "x"}, "parent_id": None,
        "attempt_errors": [],
            "links": {name: f"/tasks/{task_id}{path}" for name, path in
                  (("self", ""), ("events", "/events"), ("graph", "/graph"))},
    }  # fmt: skip


async def test_running_task_shows_progress_and_usage(door: Door) -> None:
    task_id = await door.submitted()
    claim = (await door.claimed(task_id)).claim
    await door.ledger.progress(claim, Progress(1, 3, "one"))
    await door.ledger.record_step(claim, "ask", b"{}", ModelCall("ask", "m", 10, 5, 0.25, 1))
    got = await get(door, task_id)
    assert (got["state"], got["attempts"]) == ("running", 1)
    assert got["progress"] == {"done": 1, "total": 3, "note": "one"}
    assert got["usage"] == {"input_tokens": 10, "output_tokens": 5, "usd": 0.25}
    assert TIME.fullmatch(got["started_at"])


async def test_result_is_given_as_the_agent_left_it(door: Door) -> None:
    task_id = await door.submitted()
    await door.finished(task_id, Outcome("succeeded", result=b'{"pages":[],"n":1.50}'))
    answer = await door.http.get(f"/tasks/{task_id}")
    assert b'"result":{"pages":[],"n":1.50}' in answer.content
    assert (answer.json()["state"], answer.json()["stored"]) == ("succeeded", False)
    await door.ledger.settle(await door.ledger.read([0, 1, 2, 3], 10, 1_000), {})
    assert (await get(door, task_id))["stored"] is True


async def test_failed_task_shows_its_error(door: Door) -> None:
    task_id = await door.submitted()
    await door.finished(task_id, FAILED)
    got = await get(door, task_id)
    assert got["state"] == "failed"
    assert got["error"] == {"code": "blocked", "message": "it said no", "retryable": False}
    assert TIME.fullmatch(got["finished_at"])


async def test_task_that_the_ledger_let_go_is_read_from_the_graph(door: Door) -> None:
    task_id = await door.submitted(labels={"project": "x"}, priority="high")
    await door.finished(task_id, Outcome("succeeded", result=b'{"pages":[],"failed":[]}'))
    await project(door)
    before = await get(door, task_id)
    door.ledger.rows[task_id].expires_at = 1
    assert await get(door, task_id) == before | {"result_truncated": False}
    assert before["stored"] is True
    assert (await door.http.get("/tasks")).json()["items"] == []


async def test_task_that_the_ledger_let_go_cannot_be_changed(door: Door) -> None:
    task_id = await door.submitted()
    await door.finished(task_id, FAILED)
    await project(door)
    door.ledger.rows[task_id].expires_at = 1
    for method, path, what in (("DELETE", "", "cancelled"), ("POST", "/replay", "replayed")):
        problem = problem_of(await door.http.request(method, f"/tasks/{task_id}{path}"), 409)
        assert problem["code"] == "state_conflict"
        assert what in problem["detail"]


async def test_result_too_large_for_the_graph_is_said_to_be_gone(door: Door) -> None:
    task_id = await door.submitted()
    await door.finished(task_id, Outcome("succeeded", result=b'{"pages":[],"failed":[]%s}' % (b" " * 64_000)))
    await project(door)
    door.ledger.rows[task_id].expires_at = 1
    got = await get(door, task_id)
    assert (got["state"], got["result"], got["result_truncated"]) == ("succeeded", None, True)


async def test_a_task_in_the_graph_is_its_tenant_s_only(door: Door) -> None:
    node = Node("Task", UNKNOWN, {"tenant": "rival", "type": "scrape", "state": "failed", "created_at": 1})
    await door.graph.write(GraphBatch([node], []))
    assert problem_of(await door.http.get(f"/tasks/{UNKNOWN}"), 404)["code"] == "task_not_found"


async def test_while_the_graph_is_down_nobody_can_tell_whether_there_was_a_task(door: Door) -> None:
    task_id = await door.submitted()
    door.graph.down = True
    assert (await get(door, task_id))["state"] == "queued"
    assert problem_of(await door.http.get(f"/tasks/{UNKNOWN}"), 503)["code"] == "graph_unavailable"


async def project(door: Door) -> None:
    """The projector stores what waits."""
    entries = await door.ledger.read([0, 1, 2, 3], 10, 1 << 20)
    projector = Projector(door.graph, door.vectors, HashEmbedder(16))
    await projector.project([(entry.task, entry.calls) for entry in entries if entry.task])
    await door.ledger.settle(entries, {})


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("DELETE", ""), ("POST", "/replay"), ("GET", "/events"), ("GET", "/graph")],
)
@pytest.mark.parametrize("task_id", [UNKNOWN, "no-uuid", UNKNOWN.replace("-", "")])
async def test_unknown_task_is_404(door: Door, method: str, path: str, task_id: str) -> None:
    problem = problem_of(await door.http.request(method, f"/tasks/{task_id}{path}"), 404)
    assert problem["code"] == "task_not_found"


async def test_cancel_of_a_queued_task_is_at_once(door: Door) -> None:
    task_id = await door.submitted()
    answer = await door.http.delete(f"/tasks/{task_id}")
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
    assert (await get(door, task_id))["error"]["code"] == "cancelled"


async def test_cancel_of_a_running_task_tells_its_worker(door: Door) -> None:
    task_id = await door.submitted()
    claimed = await door.claimed(task_id)
    answer = await door.http.delete(f"/tasks/{task_id}")
    assert (answer.status_code, answer.json()["state"]) == (202, "running")
    assert await door.ledger.renew_lease(door.ledger.workers["w"]) == [claimed.claim.attempt]


async def test_cancel_of_an_ended_task_is_409(door: Door) -> None:
    task_id = await door.submitted()
    await door.finished(task_id)
    problem = problem_of(await door.http.delete(f"/tasks/{task_id}"), 409)
    assert (problem["code"], "succeeded" in problem["detail"]) == ("state_conflict", True)


async def test_cancellation_and_replay_are_repeated_with_their_keys(door: Door) -> None:
    task_id, key = await door.submitted(), {"Idempotency-Key": "once"}
    for state, ask in (("cancelled", ("DELETE", "")), ("queued", ("POST", "/replay"))):
        for _ in range(2):
            answer = await door.http.request(ask[0], f"/tasks/{task_id}{ask[1]}", headers=key)
            assert (answer.status_code, answer.json()["state"]) == (202, state)
        problem_of(await door.http.request("DELETE", f"/tasks/{UNKNOWN}", headers=key), 404)
    problem = problem_of(await door.http.post(f"/tasks/{task_id}/replay", headers={"Idempotency-Key": "two"}), 409)
    assert problem["code"] == "state_conflict"


@pytest.mark.parametrize("key", ["", "k" * 256, "ä"])
async def test_unusable_key_is_named(door: Door, key: str) -> None:
    task_id = await door.submitted()
    for method, path in (("DELETE", ""), ("POST", "/replay")):
        answer = await door.http.request(
            method, f"/tasks/{task_id}{path}", headers=[(b"Idempotency-Key", key.encode())]
        )
        assert problem_of(answer, 422)["field"] == "Idempotency-Key"


async def test_which_of_two_keys_was_meant_is_not_guessed(door: Door) -> None:
    task_id = await door.submitted()
    for method, path in (("DELETE", ""), ("POST", "/replay")):
        headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
        answer = await door.http.request(method, f"/tasks/{task_id}{path}", headers=headers)
        assert problem_of(answer, 422)["field"] == "Idempotency-Key"
    assert (await get(door, task_id))["state"] == "queued"


async def test_replay_queues_a_failed_task_again(door: Door) -> None:
    task_id = await door.submitted()
    await door.finished(task_id, FAILED)
    answer = await door.http.post(f"/tasks/{task_id}/replay")
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    got = await get(door, task_id)
    assert (got["attempts"], got["error"], got["started_at"], got["finished_at"]) == (0, None, None, None)


@pytest.mark.parametrize("state", ["queued", "running", "succeeded"])
async def test_replay_of_any_other_task_is_409(door: Door, state: str) -> None:
    task_id = await door.submitted()
    if state == "running":
        await door.claimed(task_id)
    elif state == "succeeded":
        await door.finished(task_id)
    problem = problem_of(await door.http.post(f"/tasks/{task_id}/replay"), 409)
    assert (problem["code"], state in problem["detail"]) == ("state_conflict", True)


async def listed(door: Door, **query: Any) -> list[str]:
    answer = await door.http.get("/tasks", params=query)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def test_list_is_newest_first_in_pages_without_results(door: Door) -> None:
    ids = [await door.submitted() for _ in range(5)]
    await door.finished(ids[0])
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        body = (await door.http.get("/tasks", params=query)).json()
        assert all("result" not in item for item in body["items"])
        seen += [item["id"] for item in body["items"]]
        if body["next_cursor"] is None:
            break
        query["cursor"] = body["next_cursor"]
    assert seen == ids[::-1]


async def test_list_is_filtered(door: Door) -> None:
    a = await door.submitted(labels={"n": "1", "empty": ""})
    b = await door.submitted(labels={"n": "2"})
    c = await door.submitted(type="analysis", input={"question": "why"})
    await door.finished(a)
    assert await listed(door, state="succeeded") == [a]
    assert await listed(door, type="analysis") == [c]
    assert await listed(door, label="n") == [b, a]
    assert await listed(door, label="n=2") == await listed(door, label="n:2") == [b]
    assert await listed(door, label=["n", "empty="]) == [a]
    assert await listed(door, label="n=3") == []
    d = await door.submitted(labels={"from": "a=b", "at": "c:d"})
    for label in ("from=a=b", "from:a=b", "at=c:d", "at:c:d"):
        assert await listed(door, label=label) == [d]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": "5.0"}, "limit"),
        ({"limit": "1_0"}, "limit"),
        ({"limit": "+5"}, "limit"),
        ({"limit": "\u0665"}, "limit"),
        ({"state": "asleep"}, "state"),
        ({"type": "sing"}, "type"),
        ({"cursor": "0"}, "cursor"),
        ({"label": ["x"] * 9}, "label"),
        ({"label": ""}, "label"),
        ({"label": "=v"}, "label"),
        ({"label": "a b"}, "label"),
        ({"state": ["queued", "running"]}, "state"),
        ({"limit": [1, 2]}, "limit"),
    ],
)
async def test_wrong_parameter_is_named(door: Door, query: dict[str, Any], field: str) -> None:
    problem = problem_of(await door.http.get("/tasks", params=query), 422)
    assert (problem["code"], problem["field"]) == ("invalid_input", field)


@pytest.mark.parametrize("path", ["/nothing", "/tasks/", "//tasks"])
async def test_unknown_route_is_a_problem_too(door: Door, path: str) -> None:
    for method in ("GET", "POST"):
        answer = await door.http.request(method, f"http://127.0.0.1:8080{path}")
        assert problem_of(answer, 404)["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/tasks"),
        ("GET", f"/tasks/{UNKNOWN}"),
        ("DELETE", f"/tasks/{UNKNOWN}"),
        ("POST", f"/tasks/{UNKNOWN}/replay"),
        ("GET", f"/tasks/{UNKNOWN}/events"),
        ("GET", f"/tasks/{UNKNOWN}/graph"),
        ("GET", "/queues"),
    ],
)
async def test_while_the_ledger_is_away_every_route_says_so(door: Door, method: str, path: str) -> None:
    door.ledger.down = True
    answer = await door.http.request(method, path)
    assert problem_of(answer, 503)["code"] == "ledger_unavailable"
    assert "Retry-After" in answer.headers


@pytest.mark.parametrize(
    ("path", "field"),
    [("/tasks?sate=dead", "sate"), ("/search?q=x&kinds=page", "kinds"), ("/queues?type=scrape", "type")],
)
async def test_parameter_that_nobody_knows_is_named(door: Door, path: str, field: str) -> None:
    problem = problem_of(await door.http.get(path), 422)
    assert (problem["code"], problem["field"]) == ("invalid_input", field)


async def test_events_know_their_parameter(door: Door) -> None:
    task_id = await door.submitted()
    await door.finished(task_id, FAILED)
    answer = await door.http.get(f"/tasks/{task_id}/events", params={"last_event_id": "9999999999999-0"})
    assert answer.status_code == 204
