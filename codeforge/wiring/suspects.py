"""A child process that runs suspects for a worker."""

import asyncio
import math
import signal
from collections.abc import Callable, Mapping

from codeforge.agent import Agent
from codeforge.execution.crew import Crew
from codeforge.execution.memory import limit_growth
from codeforge.execution.watchdog import LoopWatchdog, rescue
from codeforge.ledger.lease import Lease
from codeforge.settings import Settings
from codeforge.wiring.ledger import redis_ledger
from codeforge.wiring.worker import AttemptParts
from codeforge.worker_types import WorkerType


async def run_suspects(
    settings: Settings,
    agents: Mapping[WorkerType, Agent],
    *,
    over: Callable[[str], None],
    listen: Callable[[Crew], None],
) -> None:
    """Runs what the parent orders; `listen` has the crew hear of it. SIGTERM hands all tasks back. With
    WORKER_MAX_MEMORY_MB, an allocation that makes this process grow by more than that fails."""
    parts = AttemptParts(settings)
    # The parent keeps the lease; each paid call and each write is checked against the claim all the same.
    lease = Lease(math.inf)
    lease.renewed(lease.now())
    loop = asyncio.get_running_loop()
    watchdog = LoopWatchdog(
        loop,
        settings.lease_s,
        lambda blocker: rescue(redis_ledger(settings, connections=1), list(crew.claims.values()), blocker),
    )
    crew = Crew(parts.ledger, parts.runner, agents, lease, over=over, in_company=watchdog.start)
    loop.add_signal_handler(signal.SIGTERM, crew.drain)
    if settings.worker_max_memory_mb is not None:
        limit_growth(settings.worker_max_memory_mb << 20)
    listen(crew)
    try:
        await crew.served()
    finally:
        watchdog.stop()
        await parts.close()
