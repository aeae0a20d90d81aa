"""Idempotency-Key at POST /tasks and /tasks/batch: one key, one task."""

import asyncio

import pytest

from tests.unit.api.door import SCRAPE, Door, problem_of, queued

pytestmark = pytest.mark.anyio


async def test_same_key_and_body_is_the_same_task(door: Door) -> None:
    headers = {"Idempotency-Key": "key 1"}
    first = await door.http.post("/tasks", json=SCRAPE, headers=headers)
    # The same body, though spelled with its defaults and in another order.
    again = await door.http.post(
        "/tasks", json={"priority": "normal", **dict(reversed(SCRAPE.items()))}, headers=headers
    )
    assert (again.status_code, again.json()) == (202, first.json())
    assert "Idempotent-Replay" not in first.headers
    assert again.headers["Idempotent-Replay"] == "true"
    assert queued(door) == 1


async def test_repetition_under_a_key_is_answered_as_the_first_time(door: Door) -> None:
    headers = {"Idempotency-Key": "k"}
    first = await door.http.post("/tasks", json=SCRAPE, headers=headers)
    await door.claimed(first.json()["id"])
    again = await door.http.post("/tasks", json=SCRAPE, headers=headers)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert (again.headers["Idempotent-Replay"], again.headers["Location"]) == ("true", first.headers["Location"])


async def test_same_key_and_another_body_or_route_is_409(door: Door) -> None:
    headers = {"Idempotency-Key": "k"}
    await door.http.post("/tasks", json=SCRAPE, headers=headers)
    for route, body in (("/tasks", SCRAPE | {"delay_s": 1}), ("/tasks/batch", {"tasks": [SCRAPE]})):
        answer = await door.http.post(route, json=body, headers=headers)
        assert problem_of(answer, 409)["code"] == "idempotency_conflict"
    assert queued(door) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\xe9"])
async def test_unusable_key_is_refused(door: Door, key: str) -> None:
    headers = {b"Idempotency-Key": key.encode("latin-1")}
    answer = await door.http.post("/tasks", json=SCRAPE, headers=headers)
    assert problem_of(answer, 422)["field"] == "Idempotency-Key"
    assert queued(door) == 0


@pytest.mark.parametrize("route", ["/tasks", "/tasks/batch"])
async def test_which_of_two_keys_was_meant_is_not_guessed(door: Door, route: str) -> None:
    body = SCRAPE if route == "/tasks" else {"tasks": [SCRAPE]}
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert problem_of(await door.http.post(route, json=body, headers=headers), 422)["field"] == "Idempotency-Key"
    assert queued(door) == 0


async def test_two_requests_with_one_key_at_once_make_one_task(door: Door) -> None:
    headers = {"Idempotency-Key": "k"}
    answers = await asyncio.gather(*(door.http.post("/tasks", json=SCRAPE, headers=headers) for _ in range(5)))
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sorted(answer.headers.get("Idempotent-Replay", "") for answer in answers) == ["", *["true"] * 4]
