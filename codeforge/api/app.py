"""The front door as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from fastapi.telemetry import TelemetryConfig
from prometheus_client import CollectorRegistry, Counter, ProcessCollector

from codeforge import __version__
from codeforge.api.access import Access, LoopbackOnly
from codeforge.api.description import problems
from codeforge.api.methods import HeadAsGet
from codeforge.api.operations import health_routes, search_routes
from codeforge.api.parameters import known_parameters
from codeforge.api.problems import Failures, install_problems
from codeforge.api.submitting import DirectSubmissions, SubmissionRoutes
from codeforge.api.task_reads import task_read_routes
from codeforge.api.tasks import task_routes
from codeforge.api.traced import TraceRequests
from codeforge.api.ui import ui_routes
from codeforge.settings import Settings
from codeforge.tracing import tracing_is_on
from codeforge.wiring.api import ApiServices

# FastAPI's own spans hold the query string, and so what tenants search for; see `traced.py`.
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}

SUMMARY = "Runs AI-agent tasks at scale."


def create_app(settings: Settings, services: ApiServices) -> FastAPI:
    """The app. It closes the services at its end."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.services = services
        yield
        await services.close()

    app = FastAPI(
        title="CodeForge", version=__version__, summary=SUMMARY, lifespan=lifespan, telemetry=NO_TELEMETRY,
        docs_url=None, redoc_url=None,
        redirect_slashes=False,  # it would lead away from a proxy's https, and lose keys and bodies on the way
    )  # fmt: skip
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    ledger_errors = Counter("codeforge_ledger_errors", "Requests that the ledger failed.", registry=registry)
    failures = Failures(ledger_errors)
    install_problems(app, failures)
    tenant_of = Access(settings.api_keys)
    submissions = SubmissionRoutes(services, tenant_of)
    app.add_middleware(DirectSubmissions, routes=submissions, failures=failures)
    for router in (task_routes(tenant_of, submissions), task_read_routes(tenant_of), search_routes(tenant_of)):
        app.include_router(router, dependencies=[Depends(known_parameters)], responses=problems())
    app.include_router(health_routes(registry, ledger_errors))
    app.include_router(ui_routes())
    if not settings.api_keys:
        app.add_middleware(LoopbackOnly)
    if tracing_is_on():
        app.add_middleware(TraceRequests)
    app.add_middleware(HeadAsGet)
    return app
