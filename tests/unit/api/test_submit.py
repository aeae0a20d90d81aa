"""POST /tasks and /tasks/batch: what is accepted, and how each refusal names what is wrong."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import Request

from codeforge.api.body import MAX_BODY_BYTES, MAX_DISCARDED_BYTES, read_body
from codeforge.errors import BadRequest
from codeforge.ledger.memory import MemoryLedger
from codeforge.ledger.memory.state import Message
from codeforge.worker_types import WorkerType
from tests.patience import PATIENCE_S
from tests.unit.api.door import SCRAPE, Door, opened, problem_of, queued

pytestmark = pytest.mark.anyio

ANALYSIS = {"type": "analysis", "input": {"question": "Why?"}}


def coding(**fields: Any) -> dict[str, Any]:
    return {"type": "coding", "input": {"prompt": "Tidy up."} | fields}


async def test_accepted_task_is_answered_with_its_links(door: Door) -> None:
    answer = await door.http.post("/tasks", json=SCRAPE)
    body = answer.json()
    task_id = body["id"]
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/tasks/{task_id}"
    assert "Idempotent-Replay" not in answer.headers
    assert body == {
        "id": task_id,
        "type": "scrape",
        "state": "queued",
        "created_at": body["created_at"],
        "links": {
            "self": f"/tasks/{task_id}",
            "events": f"/tasks/{task_id}/events",
            "graph": f"/tasks/{task_id}/graph",
        },
    }
    assert door.ledger.messages["scrape"] == [Message(task_id, task_id)]


async def test_every_field_of_the_contract_is_taken(door: Door) -> None:
    parent = await door.submitted()
    options = {
        "priority": "high", "delay_s": 5, "timeout_s": 60, "max_attempts": 7, "budget": None, "webhook": None,
        "labels": {"project": "x"}, "parent_id": parent,
    }  # fmt: skip
    got = (await door.http.get(f"/tasks/{await door.submitted(**options)}")).json()
    assert {name: got[name] for name in ("priority", "timeout_s", "max_attempts", "labels", "parent_id")} == {
        "priority": "high", "timeout_s": 60, "max_attempts": 7, "labels": {"project": "x"}, "parent_id": parent,
    }  # fmt: skip
    assert got["not_before"] is not None
    assert door.ledger.messages["scrape.high"] == []


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"type": "sing"}, "type", "invalid_input"),
        ({"colour": "red"}, "colour", "invalid_input"),
        ({"input": {"urls": []}}, "input.urls", "invalid_input"),
        ({"input": {}}, "input", "invalid_input"),
        ({"input": {"urls": ["https://a/"], "more": 1}}, "input.more", "invalid_input"),
        ({"input": {"urls": "https://a/"}}, "input.urls", "invalid_input"),
        ({"input": {"urls": ["https://a/" + "x" * 2_048]}}, "input.urls.0", "invalid_input"),
        ({"input": {"urls": ["https://example.org/", "file:///etc/passwd"]}}, "input.urls.1", "blocked_address"),
        ({"input": {"urls": ["http://user:pw@example.org/"]}}, "input.urls.0", "blocked_address"),
        ({"input": {"url": "http://2130706433/"}}, "input.url", "blocked_address"),
        ({"input": {"url": "http://0x7f000001/"}}, "input.url", "blocked_address"),
        ({"input": {"url": "http://[::ffff:127.0.0.1]/"}}, "input.url", "blocked_address"),
        ({"input": {"urls": 2**70}}, "input", "invalid_input"),
        ({"priority": "urgent"}, "priority", "invalid_input"),
        ({"delay_s": -1}, "delay_s", "invalid_input"),
        ({"delay_s": "5"}, "delay_s", "invalid_input"),
        ({"timeout_s": 0}, "timeout_s", "invalid_input"),
        ({"timeout_s": 14_401}, "timeout_s", "invalid_input"),
        ({"max_attempts": 21}, "max_attempts", "invalid_input"),
        ({"budget": {"usd": 1}}, "budget", "not_supported"),
        ({"budget": {"tokens": 1_000}}, "budget", "not_supported"),
        (ANALYSIS | {"budget": {"usd": 1, "tokens": 1_000}}, "budget.usd", "not_supported"),
        (ANALYSIS | {"budget": {"tokens": 0}}, "budget.tokens", "invalid_input"),
        (ANALYSIS | {"budget": {"tokens": "1"}}, "budget.tokens", "invalid_input"),
        (ANALYSIS | {"budget": {"euros": 1}}, "budget.euros", "invalid_input"),
        ({"webhook": {"url": "https://a/"}}, "webhook", "not_supported"),
        ({"labels": {"a": 1}}, "labels.a", "invalid_input"),
        ({"labels": {"a b": "1"}}, "labels.a b", "invalid_input"),
        (ANALYSIS | {"input": {"question": " \n"}}, "input.question", "invalid_input"),
        (coding(files={"../up.py": ""}), "input.files.../up.py", "invalid_input"),
        (coding(files={"a/../../up.py": ""}), "input.files.a/../../up.py", "invalid_input"),
        (coding(files={"./a.py": ""}), "input.files../a.py", "invalid_input"),
        (coding(files={"a//b.py": ""}), "input.files.a//b.py", "invalid_input"),
        (coding(files={"a.py ": ""}), "input.files.a.py ", "invalid_input"),
        (coding(files={"a/": ""}), "input.files.a/", "invalid_input"),
        (coding(tests={"../up.py": ""}), "input.tests.../up.py", "invalid_input"),
        (coding(language=" "), "input.language", "invalid_input"),
        (coding(test_command=" "), "input.test_command", "invalid_input"),
        ({"parent_id": "no-uuid"}, "parent_id", "invalid_input"),
        ({"parent_id": "01890000-0000-7000-8000-000000000000"}, "parent_id", "invalid_input"),
    ],
)
async def test_refusal_names_the_field_and_enqueues_nothing(
    door: Door, change: dict[str, Any], field: str, code: str
) -> None:
    for headers in ({}, {"Idempotency-Key": "k"}):
        problem = problem_of(await door.http.post("/tasks", json=SCRAPE | change, headers=headers), 422)
        assert (problem["field"], problem["code"]) == (field, code)
        assert problem["detail"].startswith(f"{field}: ")
        assert problem["detail"].count(field) == 1
    in_batch = problem_of(await door.http.post("/tasks/batch", json={"tasks": [SCRAPE, SCRAPE | change]}), 422)
    assert (in_batch["field"], in_batch["code"]) == (f"tasks.1.{field}", code)
    assert queued(door) == 0


async def test_a_budget_of_tokens_is_kept_with_an_analysis(door: Door) -> None:
    body = ANALYSIS | {"budget": {"tokens": 20_000}}
    task_id = (await door.http.post("/tasks", json=body)).json()["id"]
    assert (await door.ledger.get("default", task_id)).budget_tokens == 20_000
    assert (await door.http.get(f"/tasks/{task_id}")).json()["budget"] == {"tokens": 20_000}


@pytest.mark.parametrize("route", ["/tasks", "/tasks/batch"])
async def test_parameters_in_the_address_are_refused(door: Door, route: str) -> None:
    assert problem_of(await door.http.post(f"{route}?priority=high", json=SCRAPE), 422)["field"] == "priority"
    assert queued(door) == 0


@pytest.mark.parametrize("missing", ["type", "input"])
async def test_missing_field_is_named(door: Door, missing: str) -> None:
    body = {name: value for name, value in SCRAPE.items() if name != missing}
    assert problem_of(await door.http.post("/tasks", json=body), 422)["field"] == missing


@pytest.mark.parametrize("text", [b"", b"{", b'{"type":"scrape",}', b"\xff\xfe", b"[" * 5_000, b'{"a":"\\ud800"}'])
async def test_what_is_no_json_is_400(door: Door, text: bytes) -> None:
    for route in ("/tasks", "/tasks/batch"):
        assert problem_of(await door.http.post(route, content=text), 400)["code"] == "invalid_json"
    assert queued(door) == 0


async def test_long_name_of_a_field_is_not_repeated_whole(door: Door) -> None:
    found = problem_of(await door.http.post("/tasks", json=SCRAPE | {"x" * 10_000: 1}), 422)
    assert found["field"] == "x" * 100
    assert len(found["detail"]) < 200


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
async def test_number_that_json_does_not_have_is_400(door: Door, number: str) -> None:
    text = json.dumps(SCRAPE).replace("{", '{"delay_s": ' + number + ", ", 1)
    assert problem_of(await door.http.post("/tasks", content=text), 400)["code"] == "invalid_json"
    inside = {"type": "scrape", "input": {"urls": [f"https://example.org/{number}"]}}
    assert (await door.http.post("/tasks", json=inside)).status_code == 202


@pytest.mark.parametrize("number", ["1e999", "-1e999"])
async def test_number_that_is_too_large_for_a_float_does_not_count_as_not_given(door: Door, number: str) -> None:
    text = json.dumps({"type": "scrape", "input": {"urls": ["https://example.org/"], "url": None}})
    assert (await door.http.post("/tasks", content=text)).status_code == 202
    refused = await door.http.post("/tasks", content=text.replace("null", number))
    assert problem_of(refused, 422)["field"] == "input"


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("headers", "text", "named"),
    [
        ({"Content-Type": FORM}, b"type=scrape", FORM),
        ({"Content-Type": "multipart/form-data; boundary=b"}, b"--b", "multipart/form-data"),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, gzip.compress(b"{}"), "gzip"),
    ],
)
@pytest.mark.parametrize("route", ["/tasks", "/tasks/batch"])
async def test_what_says_itself_that_it_is_no_json_is_415(
    door: Door, route: str, headers: dict[str, str], text: bytes, named: str
) -> None:
    answer = await door.http.post(route, content=text, headers=headers)
    problem = problem_of(answer, 415)
    assert problem["code"] == "unsupported_media_type"
    assert named in problem["detail"]
    assert (answer.headers["Accept"], answer.headers["Accept-Encoding"]) == ("application/json", "identity")
    assert queued(door) == 0


@pytest.mark.parametrize(
    "headers",
    [{}, {"Content-Type": FORM}, {"Content-Type": "application/JSON; charset=utf-8"}, {"Content-Encoding": "identity"}],
)
async def test_json_is_taken_whatever_it_is_said_to_be(door: Door, headers: dict[str, str]) -> None:
    answer = await door.http.post("/tasks", content=json.dumps(SCRAPE), headers=headers)
    assert answer.status_code == 202
    refused = await door.http.post("/tasks", json=SCRAPE | {"type": "sing"}, headers=headers)
    assert problem_of(refused, 422)["field"] == "type"


@pytest.mark.parametrize("text", [b"[]", b"null", b'"scrape"'])
async def test_json_that_is_no_object_is_422(door: Door, text: bytes) -> None:
    assert problem_of(await door.http.post("/tasks", content=text), 422)["field"] == "body"


def counted(count: int, size: int, sent: list[int]) -> AsyncIterator[bytes]:
    """A body of `count` chunks, which notes the chunks that were asked for."""

    async def chunks() -> AsyncIterator[bytes]:
        for number in range(count):
            sent.append(number)
            yield b" " * size

    return chunks()


@pytest.mark.parametrize("announced", [True, False])
async def test_body_over_the_limit_is_413_after_it_was_thrown_away(door: Door, announced: bool) -> None:
    headers = {"Content-Length": str(10 * 1024 * 1024)} if announced else {}
    for route in ("/tasks", "/tasks/batch"):
        sent: list[int] = []
        answer = await door.http.post(route, content=counted(10, 1024 * 1024, sent), headers=headers)
        assert problem_of(answer, 413)["code"] == "body_too_large"
        assert len(sent) == 10  # a client that sends all before it looks at the answer gets to see it
    assert queued(door) == 0


async def test_body_that_is_far_too_large_is_not_even_read(door: Door) -> None:
    sent: list[int] = []
    headers = {"Content-Length": str(MAX_DISCARDED_BYTES + 1)}
    problem_of(await door.http.post("/tasks", content=counted(1, 1, sent), headers=headers), 413)
    assert sent == []
    problem_of(await door.http.post("/tasks", content=counted(1_000, 1024 * 1024, sent)), 413)
    assert len(sent) < 20


async def test_body_too_large_that_stops_coming_is_not_waited_for(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.api.body.DISCARD_S", 0.01)

    async def stalling() -> AsyncIterator[bytes]:
        yield b" " * (MAX_BODY_BYTES + 1)
        await asyncio.Event().wait()

    async with asyncio.timeout(PATIENCE_S):
        problem_of(await door.http.post("/tasks", content=stalling()), 413)


async def test_body_that_stops_coming_is_not_waited_for(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.api.body.BODY_S", 0.01)

    async def stalling() -> AsyncIterator[bytes]:
        yield b'{"type":'
        await asyncio.Event().wait()

    async with asyncio.timeout(PATIENCE_S):
        answer = await door.http.post("/tasks", content=stalling())
    assert problem_of(answer, 408)["code"] == "body_timeout"
    assert answer.headers["Connection"] == "close"


async def test_body_that_ends_early_is_no_crash() -> None:
    async def leave() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    request = Request({"type": "http", "method": "POST", "headers": []}, leave)
    with pytest.raises(BadRequest) as caught:
        await read_body(request)
    assert caught.value.code == "incomplete_body"


async def test_body_at_the_limit_is_read(door: Door) -> None:
    text = json.dumps(SCRAPE).encode()
    answer = await door.http.post("/tasks", content=text + b" " * (MAX_BODY_BYTES - len(text)))
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("kind", "task_input"),
    [("coding", {"prompt": "x"}), ("analysis", {"question": "x"}), ("debate", {"question": "x"})],
)
async def test_without_a_model_its_types_are_503_and_name_both_settings(kind: str, task_input: dict[str, str]) -> None:
    async with opened(model=False) as door:
        answer = await door.http.post("/tasks", json={"type": kind, "input": task_input})
        problem = problem_of(answer, 503)
        assert problem["code"] == "model_not_configured"
        assert "CODEFORGE_OPENROUTER_API_KEY" in problem["detail"]
        assert "CODEFORGE_LLM_BASE_URL" in problem["detail"]
        assert "Retry-After" not in answer.headers  # it is a setting that is missing
        assert queued(door) == 0
        await door.submitted()  # a scrape needs none
    async with opened() as door:
        await door.submitted(type=kind, input=task_input)
        assert len(door.ledger.queued[WorkerType(kind)]) == 1


async def test_batch_is_answered_in_order(door: Door) -> None:
    tasks = [SCRAPE | {"labels": {"n": str(n)}} for n in range(1_000)]
    answer = await door.http.post("/tasks/batch", json={"tasks": tasks})
    items = answer.json()["items"]
    assert (answer.status_code, len(items), queued(door)) == (202, 1_000, 1_000)
    last = (await door.http.get(items[999]["links"]["self"])).json()
    assert last["labels"] == {"n": "999"}


@pytest.mark.parametrize("count", [0, 1_001])
async def test_batch_has_1_to_1000_tasks(door: Door, count: int) -> None:
    answer = await door.http.post("/tasks/batch", json={"tasks": [SCRAPE] * count})
    assert problem_of(answer, 422)["field"] == "tasks"
    assert queued(door) == 0


async def test_while_the_ledger_is_away_nothing_is_accepted(door: Door) -> None:
    door.ledger.down = True
    answer = await door.http.post("/tasks", json=SCRAPE)
    assert problem_of(answer, 503)["code"] == "ledger_unavailable"
    assert int(answer.headers["Retry-After"]) > 0


async def test_a_ledger_that_is_nearly_full_accepts_nothing(door: Door) -> None:
    door.ledger.full = True
    assert problem_of(await door.http.post("/tasks", json=SCRAPE), 503)["code"] == "ledger_full"
    assert queued(door) == 0


async def test_a_task_that_no_replica_confirms_may_exist_and_the_client_is_told_what_to_do(door: Door) -> None:
    door.ledger.replicated = False
    headers = {"Idempotency-Key": "k1"}
    problem = problem_of(await door.http.post("/tasks", json=SCRAPE, headers=headers), 503)
    assert problem["code"] == "not_replicated"
    assert "Idempotency-Key" in problem["detail"]
    door.ledger.replicated = True
    answer = await door.http.post("/tasks", json=SCRAPE, headers=headers)
    assert (answer.status_code, answer.headers["Idempotent-Replay"], queued(door)) == (202, "true", 1)


async def test_full_outbox_is_503_until_the_stores_have_caught_up() -> None:
    ledger = MemoryLedger(outbox_max_bytes=40)
    async with opened(ledger) as door:
        task_id = await door.submitted()
        await door.finished(task_id)
        answer = await door.http.post("/tasks", json=SCRAPE)
        assert problem_of(answer, 503)["code"] == "outbox_full"
        assert int(answer.headers["Retry-After"]) > 0
        await ledger.settle(await ledger.read(range(4), 10, 1 << 20), {})
        await door.submitted()
