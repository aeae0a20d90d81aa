"""The OpenAPI document tells what the routes really answer."""

from typing import Any

import pytest
from pydantic import BaseModel

from codeforge.api.description import (
    AcceptedBatch,
    AcceptedTask,
    Demand,
    Problem,
    QueueList,
    SearchList,
    TaskList,
    TaskStanding,
    WholeTask,
)
from codeforge.ledger.port import Outcome
from codeforge.lineage import LineageGraph
from codeforge.task import TaskFailure
from tests.unit.api.door import SCRAPE, Door

pytestmark = pytest.mark.anyio

FAILED = Outcome("failed", error=TaskFailure("invalid_input", "no", False))


async def described(door: Door) -> dict[str, Any]:
    answer: dict[str, Any] = (await door.http.get("/openapi.json")).json()
    return answer


async def test_every_answer_has_a_schema_and_every_error_is_a_problem(door: Door) -> None:
    paths = (await described(door))["paths"]
    for path, methods in paths.items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                if status >= "400":
                    assert list(response["content"]) == ["application/problem+json"], (method, path, status)
                elif path not in ("/healthz", "/readyz", "/metrics", "/tasks/{task_id}/events"):
                    assert response["content"]["application/json"]["schema"], (method, path, status)
    assert set(paths["/tasks"]["post"]["responses"]) == {
        "202",
        "400",
        "401",
        "408",
        "409",
        "413",
        "415",
        "422",
        "429",
        "500",
        "503",
    }


@pytest.mark.parametrize(
    ("method", "path", "model"),
    [
        ("GET", "/tasks/{id}", WholeTask),
        ("GET", "/tasks", TaskList),
        ("POST", "/tasks/{id}/replay", TaskStanding),
        ("GET", "/tasks/{id}/graph", LineageGraph),
        ("GET", "/queues", QueueList),
        ("GET", "/search?q=bread", SearchList),
        ("GET", "/autoscale/scrape", Demand),
        ("GET", "/autoscale/projector", Demand),
        ("GET", "/autoscale/nothing", Problem),
        ("DELETE", "/tasks/{id}", Problem),
        ("GET", "/tasks/nothing", Problem),
    ],
)
@pytest.mark.parametrize("outcome", [FAILED, None])
async def test_answers_are_as_described(
    door: Door, method: str, path: str, model: type[BaseModel], outcome: Outcome | None
) -> None:
    task_id = await door.submitted(labels={"a": "b"})
    await door.finished(task_id, outcome)
    answer = await door.http.request(method, path.format(id=task_id))
    if method == "POST" and outcome is None:
        model = Problem  # a task that succeeded is not run again
    model.model_validate_json(answer.content)


async def test_submissions_are_answered_as_described(door: Door) -> None:
    AcceptedTask.model_validate_json((await door.http.post("/tasks", json=SCRAPE)).content)
    AcceptedBatch.model_validate_json((await door.http.post("/tasks/batch", json={"tasks": [SCRAPE]})).content)
    task_id = await door.submitted()
    TaskStanding.model_validate_json((await door.http.delete(f"/tasks/{task_id}")).content)
    Problem.model_validate_json((await door.http.post("/tasks", json={"type": "sing"})).content)


async def test_a_list_s_limit_is_described_with_its_bounds(door: Door) -> None:
    paths = (await door.http.get("/openapi.json")).json()["paths"]
    for path, most in (("/tasks", 500), ("/search", 100)):
        (limit,) = [each["schema"] for each in paths[path]["get"]["parameters"] if each["name"] == "limit"]
        assert (limit["type"], limit["minimum"], limit["maximum"]) == ("integer", 1, most)
