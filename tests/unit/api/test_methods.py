"""Methods: HEAD wherever there is GET, and every method of a path named where it does not have the one asked for."""

import asyncio

import pytest

from tests.patience import PATIENCE_S
from tests.unit.api.door import PROBLEM, SCRAPE, Door, opened, problem_of

pytestmark = pytest.mark.anyio

TASK = "/tasks/{}"


@pytest.mark.parametrize("path", ["/tasks", TASK, "/search?q=x", "/healthz", "/readyz", "/docs", "/ui"])
async def test_head_answers_as_get_without_the_body(door: Door, path: str) -> None:
    task_id = await door.submitted()
    asked = await door.http.get(path.format(task_id))
    probed = await door.http.head(path.format(task_id))
    assert (probed.status_code, probed.content) == (200, b"")
    for name in ("Content-Type", "Content-Length"):
        assert probed.headers[name] == asked.headers[name]


async def test_head_of_what_is_refused_has_its_status() -> None:
    async with opened(api_keys="acme:" + "0" * 64) as door:
        probed = await door.http.head("/tasks")
    assert (probed.status_code, probed.headers["Content-Type"], probed.content) == (401, PROBLEM, b"")


async def test_head_of_events_does_not_wait_for_them(door: Door) -> None:
    task_id = await door.submitted()
    async with asyncio.timeout(PATIENCE_S):
        probed = await door.http.head(f"/tasks/{task_id}/events")
    assert (probed.status_code, probed.content) == (200, b"")
    assert probed.headers["Content-Type"].startswith("text/event-stream")
    assert "Content-Length" not in probed.headers


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/tasks", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("/tasks/batch", {"POST", "OPTIONS"}),
        (TASK, {"GET", "HEAD", "DELETE", "OPTIONS"}),
        (TASK + "/replay", {"POST", "OPTIONS"}),
        ("/healthz", {"GET", "HEAD", "OPTIONS"}),
    ],
)
async def test_all_that_a_path_has_is_named(door: Door, path: str, allowed: set[str]) -> None:
    task_id = await door.submitted()
    refused = await door.http.put(path.format(task_id), json=SCRAPE)
    assert problem_of(refused, 405)["code"] == "method_not_allowed"
    assert set(refused.headers["Allow"].split(", ")) == allowed
    asked = await door.http.options(path.format(task_id))
    assert (asked.status_code, asked.content) == (204, b"")
    assert set(asked.headers["Allow"].split(", ")) == allowed


async def test_what_is_not_there_has_no_methods(door: Door) -> None:
    assert problem_of(await door.http.options("/nothing"), 404)["code"] == "not_found"
