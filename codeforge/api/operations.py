"""Routes for operators and for search: queues, health, metrics."""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from codeforge.api.description import Demand, QueueList, SearchList, problems
from codeforge.api.parameters import IN_DIGITS
from codeforge.api.tasks import Services
from codeforge.api.views import JsonResponse
from codeforge.errors import CodeForgeError, InvalidInput, LedgerUnavailable
from codeforge.metrics import LedgerMetrics
from codeforge.records.model import TextKind
from codeforge.scaling.demand import Autoscaling
from codeforge.worker_types import WorkerType

CHECK_TIMEOUT_S = 2.0
SNAPSHOT_TIMEOUT_S = 5.0
"""Shorter than Prometheus waits for a scrape by default (10 s): the process's own metrics must arrive."""

AUTOSCALE_TIMEOUT_S = 2.5
"""Shorter than KEDA waits for an answer by default (3 s): it is told why there is none."""

PROJECTOR = "projector"
"""What is scaled besides the workers."""

OPENMETRICS = "application/openmetrics-text"


class Together(Collector):
    """Several collectors as one."""

    def __init__(self, parts: Sequence[Collector]) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """The families of all of them."""
        for part in self._parts:
            yield from part.collect()


def search_routes(tenant_of: Any) -> APIRouter:
    """Search and queues, for tenants."""
    router = APIRouter()
    Tenant = Annotated[str, Depends(tenant_of)]

    @router.get("/search", tags=["search"], response_model=SearchList)
    async def search(
        tenant: Tenant,
        api: Services,
        q: Annotated[str, Query(min_length=1, max_length=1_000, description="words, or a question")],
        type: WorkerType | None = None,
        kind: TextKind | None = None,
        limit: Annotated[int, Query(ge=1, le=100), IN_DIGITS] = 10,
    ) -> Response:
        """Hybrid search over the results of the tenant's tasks, best first."""
        items = await api.search.query(tenant, q, type, kind, limit)
        return JsonResponse({"items": [item.model_dump(mode="json") for item in items], "next_cursor": None})

    @router.get("/queues", tags=["operations"], response_model=QueueList)
    async def queues(tenant: Tenant, api: Services) -> Response:
        """Depths per worker type, over all tenants."""
        snapshot = await api.ledger.snapshot()
        items = [
            {"type": worker_type.value} | {name: getattr(depth, name) for name in depth.__slots__}
            for worker_type, depth in snapshot.depths.items()
        ]
        return JsonResponse({"items": items, "next_cursor": None})

    @router.get("/autoscale/{type}", tags=["operations"], response_model=Demand)
    async def autoscale(
        tenant: Tenant, api: Services, type: Annotated[str, Path(description=f"a worker type, or {PROJECTOR}")]
    ) -> Response:
        """What there is to do for the workers of a type (tasks that wait or run) or for the projector (results that
        await their projection), over all tenants: `value` is for KEDA's metrics-api trigger. While the ledger cannot be
        read the answer is 503, never a zero."""
        try:
            async with asyncio.timeout(AUTOSCALE_TIMEOUT_S):
                return JsonResponse({"type": type} | await _to_do(api.autoscaling, type))
        except TimeoutError:
            raise LedgerUnavailable("the ledger did not answer in time") from None

    return router


def health_routes(registry: CollectorRegistry, ledger_errors: Counter) -> APIRouter:
    """Health and metrics: no key needed, no tenant's data shown."""
    router = APIRouter(tags=["operations"])

    @router.get("/healthz")
    async def healthz() -> Response:
        """The process answers."""
        return JsonResponse({"status": "ok"})

    @router.get("/readyz")
    async def readyz(api: Services) -> Response:
        """Part by part. Only the ledger decides: tasks are accepted while a store is down, and stored later."""
        names = ("ledger", "graph", "vectors")
        states = await asyncio.gather(_state(api.ledger.ping()), _state(api.graph.ping()), _state(api.vectors.ping()))
        parts = dict(zip(names, states, strict=True))
        status = "ready" if parts["ledger"] == "ok" else "not_ready"
        degraded = status == "ready" and set(states) != {"ok"}
        body = {"status": "degraded" if degraded else status, "parts": parts}
        return JsonResponse(body, status_code=200 if status == "ready" else 503)

    @router.get("/metrics", responses=problems())
    async def metrics(api: Services, accept: Annotated[str, Header()] = "") -> Response:
        """Prometheus text, or OpenMetrics with exemplars where it is accepted. While the ledger cannot be read its
        figures are absent, never zero."""
        parts: list[Collector] = [registry]
        try:
            async with asyncio.timeout(SNAPSHOT_TIMEOUT_S):
                parts.append(LedgerMetrics(await api.ledger.snapshot()))
        except (LedgerUnavailable, TimeoutError):
            ledger_errors.inc()
        if OPENMETRICS in accept:
            # No name of ours needs escaping, and looking at each of their characters doubles what a scrape costs.
            plain = openmetrics.ALLOWUTF8
            text = openmetrics.generate_latest(Together(parts), escaping=plain)
            return Response(text, media_type=openmetrics.CONTENT_TYPE_LATEST)
        # The version that every reader knows; our names are the same in the next one.
        return Response(generate_latest(Together(parts)), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return router


async def _to_do(autoscaling: Autoscaling, name: str) -> dict[str, int]:
    if name == PROJECTOR:
        return {"value": await autoscaling.outbox()}
    if name not in tuple(WorkerType):
        raise InvalidInput(f"expected {', '.join((*WorkerType, PROJECTOR))}", field="type")
    demand = await autoscaling.demand(WorkerType(name))
    return {"value": demand.tasks, "queued": demand.queued, "running": demand.running}


async def _state(check: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check
    except CodeForgeError as error:
        return error.code
    except TimeoutError:
        return "timeout"
    return "ok"
