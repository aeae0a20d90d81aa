"""A worker process's runtime."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from functools import partial

from codeforge.agent import Agent
from codeforge.execution.attempt import AttemptRunner
from codeforge.execution.runtime import WorkerRuntime
from codeforge.execution.suspects import SuspectRunner
from codeforge.ledger.headroom import require_noeviction
from codeforge.ledger.heartbeat import LeaseKeeper
from codeforge.ledger.lease import Lease
from codeforge.settings import Settings
from codeforge.tracing import end_tracing
from codeforge.web.search import ConfiguredSearch
from codeforge.wiring.earlier import earlier_results
from codeforge.wiring.embeddings import embedder_if_configured
from codeforge.wiring.ledger import redis_ledger
from codeforge.wiring.model import model_client
from codeforge.wiring.pages import page_fetcher
from codeforge.worker_types import WorkerType

WORKER_CONNECTIONS = 32


def worker_runtime(
    settings: Settings, agents: Mapping[WorkerType, Agent], suspects_command: Sequence[str]
) -> WorkerRuntime:
    """A worker process's runtime. It ends its process when its lease keeper dies: nothing may run without a lease.

    `suspects_command` starts a process that calls `run_suspects`. Raises SettingsError.
    """
    require_noeviction(settings.redis_address)
    parts = AttemptParts(settings)
    return WorkerRuntime(
        parts.ledger,
        parts.runner,
        agents,
        suspects=SuspectRunner(parts.ledger, suspects_command),
        lease=Lease(settings.lease_s),
        keeper=partial(LeaseKeeper, settings.redis_address, lease_s=settings.lease_s),
        close=parts.close,
        on_death=lambda: os.kill(os.getpid(), signal.SIGTERM),
        health_file=settings.health_file,
        spare_ledger=lambda: redis_ledger(settings, connections=1),
        stuck_after_s=settings.lease_s,
        max_memory_mb=settings.worker_max_memory_mb,
        strays_every_s=settings.lease_s / 3,
        host=settings.pod_name,
    )


class AttemptParts:
    """What one process that runs agents needs: its clients, and the runner of attempts over them."""

    def __init__(self, settings: Settings) -> None:
        self.ledger = redis_ledger(settings, connections=WORKER_CONNECTIONS)
        self._model = model_client(settings)
        self._fetcher = page_fetcher(settings)
        self._search = ConfiguredSearch(settings)
        self._embedder = embedder_if_configured(settings)
        self._earlier = earlier_results(settings, self.ledger)
        self.runner = AttemptRunner(
            self.ledger,
            model=self._model,
            fetcher=self._fetcher,
            search=self._search,
            embedder=self._embedder,
            earlier=self._earlier,
        )

    async def close(self) -> None:
        """Closes all of them, and sends what is traced and not sent yet."""
        await asyncio.to_thread(end_tracing)
        for part in (self._model, self._fetcher, self._search, self._embedder, self._earlier, self.ledger):
            if part is not None:
                await part.close()
