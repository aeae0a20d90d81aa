"""Use case: pods that run tasks are marked, so that a scale-in takes idle ones first.

A ReplicaSet deletes pods of a lower `controller.kubernetes.io/pod-deletion-cost` first, after those that are not
running or not ready (kubernetes.io, "ReplicaSet", "Pod deletion cost"). Kubernetes warns against frequent updates, so
there are two values only, and nothing is written but while a scale-in is near.
"""

import asyncio
import math
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from codeforge.errors import ClusterUnavailable, CodeForgeError, LedgerUnavailable, PodChanged
from codeforge.kubernetes.port import Pod, Pods
from codeforge.ledger.fleet_port import FleetLedger, WorkerLoad
from codeforge.ledger.port import QueueDepth
from codeforge.logs import logger
from codeforge.scaling.demand import demand_of
from codeforge.worker_types import WorkerType

log = logger(__name__)

IDLE, BUSY = 0, 1
"""The two values. An idle pod that was never busy needs no write: none is the same as 0."""

PERIOD_S = 15.0
"""Between two looks: as often as the HPA decides by default."""

LOOK_S = 20.0
"""One look at most, all its requests together."""

LONGEST_PAUSE_S = 300.0
MAX_WRITES = 100
"""In one look; the next one goes on."""


def near_scale_in(
    depths: Mapping[WorkerType, QueueDepth], loads: Sequence[WorkerLoad], max_agents: int
) -> dict[str, bool]:
    """The pods of those workers of which fewer are needed than there are, and whether each is busy.

    The HPA wants demand / target pods, where the target is a pod's slots. Once that is less than the pods that run, a
    scale-in waits for nothing but the HPA's stabilisation window. Its tolerance of a tenth is left out: so this is true
    a little earlier, never later. Pods that have not begun to work are not counted; a ReplicaSet takes those first.
    """
    fleets: defaultdict[tuple[WorkerType, ...], list[WorkerLoad]] = defaultdict(list)
    for load in loads:
        fleets[tuple(sorted(load.worker.types))].append(load)
    pods: dict[str, bool] = {}
    for types, fleet in fleets.items():
        demand = sum(demand_of(depths, worker_type, max_agents).tasks for worker_type in types)
        slots = sum(load.worker.slots for load in fleet) / len(fleet)
        # A worker that was started anew in its pod has two leases until the first one ends.
        busy = {load.worker.host: False for load in fleet} | {load.worker.host: True for load in fleet if load.running}
        if math.ceil(demand / slots) < len(busy):
            pods |= busy
    return pods


class BusyPods:
    """The loop. `leads` says whether this process's reaper does: one of them writes. Failures of the API server are
    logged and counted; nothing here holds up the reaper."""

    def __init__(self, ledger: FleetLedger, pods: Pods, leads: Callable[[], bool], *, max_agents: int = 0) -> None:
        self._ledger = ledger
        self._pods = pods
        self._leads = leads
        self._max_agents = max_agents
        self._failures = 0

    async def run(self) -> None:
        """Looks again and again; ends only by a bug."""
        pause_s = PERIOD_S
        while True:
            await asyncio.sleep(random.uniform(1.0, 1.2) * pause_s)  # noqa: S311 - jitter
            pause_s = await self.look()

    async def look(self) -> float:
        """One look; answers how many seconds to wait before the next."""
        if not self._leads():
            return PERIOD_S
        counts: defaultdict[str, float] = defaultdict(float)
        pause_s = PERIOD_S
        try:
            async with asyncio.timeout(LOOK_S):
                await self._mark(counts)
            self._failures = 0
        except LedgerUnavailable as error:
            log.warning("busy_pods_unknown", code=error.code, error=error.message)
        except ClusterUnavailable as error:
            pause_s = self._failed(error, counts)
        except TimeoutError:
            pause_s = self._failed(ClusterUnavailable("no answer in time"), counts)
        await self._count(counts)
        return pause_s

    async def _mark(self, counts: dict[str, float]) -> None:
        depths, loads = (await self._ledger.snapshot()).depths, await self._ledger.loads()
        near = near_scale_in(depths, loads, self._max_agents)
        if not near:
            return
        for pod, cost in _wrong(await self._pods.list(), near)[:MAX_WRITES]:
            try:
                await self._pods.set_deletion_cost(pod, cost)
                counts["written"] += 1
            except PodChanged as error:
                counts[error.code] += 1

    def _failed(self, error: ClusterUnavailable, counts: dict[str, float]) -> float:
        """Notes it; answers how long to leave the API server alone: longer each time, and no less than it asked for,
        within `LONGEST_PAUSE_S`."""
        longer_s: float = PERIOD_S * 2 ** min(self._failures, 10)
        pause_s = min(max(error.retry_after_s or 0.0, longer_s), LONGEST_PAUSE_S)
        self._failures += 1
        counts[error.code] += 1
        log.warning("busy_pods_not_marked", code=error.code, error=error.message, next_try_s=pause_s)
        return pause_s

    async def _count(self, counts: Mapping[str, float]) -> None:
        if not counts:
            return
        try:
            await self._ledger.add_counters({f"pod_marks:{outcome}": n for outcome, n in counts.items()})
        except CodeForgeError as error:
            log.warning("pod_marks_not_counted", error=error.message)


def _wrong(pods: Sequence[Pod], near: Mapping[str, bool]) -> list[tuple[Pod, int]]:
    """The pods whose mark is not what it should be, and what it should be: busy ones first, for they must not go."""
    wanted = [(pod, BUSY if near[pod.name] else IDLE) for pod in pods if pod.name in near and not pod.leaving]
    return sorted(((pod, cost) for pod, cost in wanted if pod.deletion_cost != cost), key=lambda item: -item[1])
