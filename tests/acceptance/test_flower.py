"""Flower beside the stack: who gets in, what is found there, and what is not."""

from typing import Any

import httpx
import pytest

from tests.acceptance.stack import Stack, eventually
from tests.patience import PATIENCE_S
from tests.servers.model import ModelServer, Scripted
from tests.servers.site import Site

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("monitored")]

QUESTION = "a-question-that-only-the-ledger-knows"
PAGES = ("/", "/tasks", "/task/{id}", "/workers", "/worker/{worker}", "/broker", "/metrics")
API = ("/api/tasks", "/api/task/info/{id}", "/api/workers?refresh=1", "/api/queues/length", "/api/task/types")


def flower(stack: Stack) -> httpx.Client:
    """Flower's API, with the password of the ready file."""
    ready = stack.ready
    auth = (ready["flower_user"], ready["flower_password"])
    return httpx.Client(base_url=ready["flower"], auth=auth, trust_env=False, timeout=20.0)


def found(client: httpx.Client, task_id: str, state: str) -> dict[str, Any]:
    """The task in Flower, once it is there in this state."""

    def seen() -> dict[str, Any] | None:
        answer = client.get(f"/api/task/info/{task_id}")
        return answer.json() if answer.status_code == 200 and answer.json()["state"] == state else None

    return eventually(seen, f"{task_id} as {state} in Flower")


def answered(client: httpx.Client) -> str | None:
    """A worker that Flower knows all about. One that does not answer it within a second is missing there."""
    workers = client.get("/api/workers?refresh=1").json()
    return next((name for name, told in workers.items() if "stats" in told), None)


def test_without_its_password_it_shows_nothing(stack: Stack) -> None:
    for path in (*PAGES, *API):
        if path != "/metrics":  # counts only, see below
            answer = httpx.get(stack.ready["flower"] + path, trust_env=False, timeout=PATIENCE_S)
            assert answer.status_code == 401, path


def test_tasks_are_found_under_their_own_ids_with_type_and_outcome(
    stack: Stack, site: Site, model: ModelServer
) -> None:
    succeeded = stack.submit("scrape", {"urls": [site.url("/bread")]})
    stack.finished(succeeded)
    model.scripted = [Scripted(status=401, body={"error": {"message": "no"}})] * 10
    failed = stack.submit("coding", {"prompt": QUESTION, "language": "python", "max_iterations": 1})
    assert stack.finished(failed)["state"] == "failed"
    model.scripted = []
    cancelled = stack.submit("scrape", {"urls": [site.url("/slow")]})
    eventually(lambda: stack.task(cancelled)["state"] == "running", "running")
    stack.client.delete(f"/tasks/{cancelled}")
    with flower(stack) as client:
        assert found(client, succeeded, "SUCCESS")["name"] == "codeforge.scrape"
        told = found(client, failed, "FAILURE")
        assert (told["name"], told["exception"]) == ("codeforge.coding", "failed")
        assert found(client, cancelled, "REVOKED")["name"] == "codeforge.scrape"


def test_no_secret_and_no_input_is_to_be_seen(stack: Stack, model: ModelServer) -> None:
    task_id = stack.submit("debate", {"question": QUESTION, "positions": ["yes", "no"], "rounds": 1})
    stack.finished(task_id)
    ready = stack.ready
    secrets = [ready["bolt_password"], ready["flower_password"], QUESTION]
    with flower(stack) as client:
        found(client, task_id, "SUCCESS")
        worker = eventually(lambda: answered(client), "a worker's answer to Flower")
        for path in (*PAGES, *API):
            answer = client.get(path.format(id=task_id, worker=worker))
            assert answer.status_code == 200, path
            assert not [secret for secret in secrets if secret in answer.text], path
