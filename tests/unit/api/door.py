"""The front door on the ledger in memory and tiny stores, asked over HTTP without a socket."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from codeforge.api.app import create_app
from codeforge.ledger.memory import MemoryLedger
from codeforge.ledger.port import ClaimedTask, Outcome, WorkerRecord
from codeforge.ledger.rates import NoRates, Rates
from codeforge.lineage import Lineage
from codeforge.provenance import Provenance
from codeforge.scaling.demand import Autoscaling
from codeforge.search import Search
from codeforge.settings import Settings
from codeforge.stores.memory_graph import MemoryGraphStore
from codeforge.stores.memory_vectors import HashEmbedder, MemoryVectorStore
from codeforge.submission import Submissions
from codeforge.web.guard import AddressGuard
from codeforge.wiring.api import ApiServices
from codeforge.worker_types import WorkerType

SCRAPE = {"type": "scrape", "input": {"urls": ["https://example.org/"]}}
PROBLEM = "application/problem+json"


@dataclass
class Door:
    """An open front door. `http` asks as this machine's browser would."""

    http: httpx.AsyncClient
    ledger: MemoryLedger
    graph: MemoryGraphStore
    vectors: MemoryVectorStore
    services: list[ApiServices] = field(default_factory=list)

    async def submitted(self, **fields: Any) -> str:
        """The id of an accepted task."""
        answer = await self.http.post("/tasks", json=SCRAPE | fields)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    async def claimed(self, task_id: str) -> ClaimedTask:
        """The task, running."""
        await self.ledger.renew_lease(WorkerRecord("w", list(WorkerType), 10))
        claimed = await self.ledger.claim(task_id, "w", secrets.token_hex(8))
        assert claimed is not None
        return claimed

    async def finished(self, task_id: str, outcome: Outcome | None = None) -> None:
        """The task, run to its end."""
        claimed = await self.claimed(task_id)
        success = Outcome("succeeded", result=b'{"pages":[],"failed":[]}')
        await self.ledger.finish(claimed.claim, outcome or success)


@asynccontextmanager
async def opened(
    ledger: MemoryLedger | None = None, *, model: bool = True, rates: Rates | None = None, **settings: Any
) -> AsyncIterator[Door]:
    """A front door with these settings, closed at the end."""
    configured = Settings(**settings)
    ledger = ledger or MemoryLedger()
    graph, vectors, embedder = MemoryGraphStore(), MemoryVectorStore(16), HashEmbedder(16)
    limits = rates or NoRates()
    services = ApiServices(
        ledger=ledger,
        submissions=Submissions(ledger, AddressGuard(), limits, model_configured=model),
        lineage=Lineage(graph),
        provenance=Provenance(graph),
        search=Search(vectors, embedder),
        graph=graph,
        vectors=vectors,
        embedder=embedder,
        rates=limits,
        autoscaling=Autoscaling(ledger, configured.max_agents or 0),
    )
    app = create_app(configured, services)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as http,
    ):
        yield Door(http, ledger, graph, vectors)


def problem_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem that the answer is."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, PROBLEM), answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["type"] == f"/problems/{problem['code']}"
    assert problem["title"]
    assert problem["detail"]
    return problem


def queued(door: Door) -> int:
    """How many tasks wait, now or for their time."""
    return sum(len(ids) for places in (door.ledger.queued, door.ledger.delayed) for ids in places.values())
