"""Bad input: the right problem, the field named, and nothing enqueued."""

from typing import Any

import pytest

from tests.acceptance.stack import Stack

pytestmark = pytest.mark.slow

SCRAPE = "scrape"


def scrape(url: str) -> dict[str, Any]:
    return {"type": SCRAPE, "input": {"urls": [url]}}


CASES: dict[str, tuple[Any, int, str, str | None]] = {
    "unknown type": ({"type": "dance", "input": {}}, 422, "invalid_input", "type"),
    "unknown field": ({"type": SCRAPE, "input": {"urls": ["http://e.org/"]}, "x": 1}, 422, "invalid_input", "x"),
    "unknown input": ({"type": SCRAPE, "input": {"urls": ["http://e.org/"], "x": 1}}, 422, "invalid_input", "input.x"),
    "empty urls": ({"type": SCRAPE, "input": {"urls": []}}, 422, "invalid_input", "input.urls"),
    "budget": (scrape("http://e.org/") | {"budget": {"usd": 1}}, 422, "not_supported", "budget"),
    "webhook": (scrape("http://e.org/") | {"webhook": {"url": "http://e.org"}}, 422, "not_supported", "webhook"),
    "file": (scrape("file:///etc/passwd"), 422, "blocked_address", "input.urls.0"),
    "userinfo": (scrape("http://user:pw@example.org/"), 422, "blocked_address", "input.urls.0"),
    "decimal": (scrape("http://2130706433/"), 422, "blocked_address", "input.urls.0"),
    "hex": (scrape("http://0x7f000001/"), 422, "blocked_address", "input.urls.0"),
    "mapped": (scrape("http://[::ffff:10.0.0.1]/"), 422, "blocked_address", "input.urls.0"),
    "metadata": (scrape("http://169.254.169.254/"), 422, "blocked_address", "input.urls.0"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_with_a_problem_that_names_the_field(stack: Stack, case: str) -> None:
    body, status, code, field = CASES[case]
    before = len(stack.client.get("/tasks", params={"limit": 500}).json()["items"])
    answer = stack.client.post("/tasks", json=body)
    problem = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code), problem
    assert problem["field"] == field
    assert len(stack.client.get("/tasks", params={"limit": 500}).json()["items"]) == before


def test_body_that_is_no_json(stack: Stack) -> None:
    answer = stack.client.post("/tasks", content=b'{"type": ', headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")


def test_body_of_ten_megabytes(stack: Stack) -> None:
    answer = stack.client.post("/tasks", content=b"x" * 10_000_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_idempotency_conflict(stack: Stack) -> None:
    headers = {"Idempotency-Key": "conflict"}
    assert stack.client.post("/tasks", json=scrape("http://127.0.0.1:9/a"), headers=headers).status_code == 202
    answer = stack.client.post("/tasks", json=scrape("http://127.0.0.1:9/b"), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")
