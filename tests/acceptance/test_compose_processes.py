"""What `docker compose up` starts, started without Docker: a task goes through, and all end as they should."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeforge.stores.embeddings.builtin import WordLlamaEmbedder
from tests.acceptance.composed import composed
from tests.acceptance.stack import eventually
from tests.servers.canned import Answer, CannedServer, Request
from tests.servers.site import Site

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def embeddings() -> Iterator[CannedServer]:
    """An embeddings service in OpenAI's wire format."""
    embedder = WordLlamaEmbedder()

    def answer(request: Request) -> Answer:
        vectors = asyncio.run(embedder.embed(request.body["input"]))
        data = [
            {"object": "embedding", "index": place, "embedding": list(vector)} for place, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return Answer(200, {"object": "list", "data": data, "model": request.body["model"], "usage": usage})

    with CannedServer(answer) as server:
        yield server


def test_the_small_form_serves_a_task_and_stops_within_its_grace(
    tmp_path: Path, site: Site, embeddings: CannedServer
) -> None:
    variables = {
        "CODEFORGE_EMBEDDINGS_BASE_URL": embeddings.url,
        "CODEFORGE_EMBEDDINGS_DIM": "256",
        "CODEFORGE_ALLOW_PRIVATE_HOSTS": "127.0.0.1",
    }
    with composed(tmp_path, "small", variables) as running:
        refused = running.client.get("/tasks", headers={"Authorization": "Bearer wrong"})
        assert refused.status_code == 401

        body = {"type": "scrape", "input": {"urls": [site.url("/bicycle")]}}
        answer = running.client.post("/tasks", json=body)
        assert answer.status_code == 202, answer.text
        task = f"/tasks/{answer.json()['id']}"
        eventually(lambda: running.client.get(task).json()["stored"], "the result is in both stores")
        (found, *_) = running.client.get("/search", params={"q": "a flat tyre on my two-wheeler"}).json()["items"]
        assert found["url"] == site.url("/bicycle")

        assert [service.name for service in running.services] == ["api", "projector", "reaper", "worker"]
        assert running.stop() == dict.fromkeys(["api", "projector", "reaper", "worker"], 0)
