"""A worker process's runtime."""

import os
import signal
from collections.abc import Mapping
from functools import partial

from codeforge.agent import Agent
from codeforge.execution.attempt import AttemptRunner
from codeforge.execution.runtime import WorkerRuntime
from codeforge.ledger.heartbeat import LeaseKeeper
from codeforge.ledger.lease import Lease
from codeforge.settings import Settings
from codeforge.web.fetcher import GuardedFetcher
from codeforge.web.guard import AddressGuard
from codeforge.web.search import ConfiguredSearch
from codeforge.wiring.ledger import redis_ledger
from codeforge.wiring.model import model_client
from codeforge.worker_types import WorkerType

WORKER_CONNECTIONS = 32


def worker_runtime(settings: Settings, agents: Mapping[WorkerType, Agent]) -> WorkerRuntime:
    """A worker process's runtime. It ends its process when its lease keeper dies: nothing may run without a lease."""
    ledger = redis_ledger(settings, connections=WORKER_CONNECTIONS)
    model = model_client(settings)
    fetcher = GuardedFetcher(AddressGuard(settings.allow_private_hosts))
    search = ConfiguredSearch(settings)

    async def close() -> None:
        for part in (model, fetcher, search, ledger):
            if part is not None:
                await part.close()

    return WorkerRuntime(
        ledger,
        AttemptRunner(ledger, model=model, fetcher=fetcher, search=search),
        agents,
        lease=Lease(settings.lease_s),
        keeper=partial(LeaseKeeper, settings.redis_address, lease_s=settings.lease_s),
        close=close,
        on_death=lambda: os.kill(os.getpid(), signal.SIGTERM),
        health_file=settings.health_file,
    )
