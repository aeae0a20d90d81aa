"""Use case: how much there is to do, as an autoscaler is told it."""

from collections.abc import Mapping
from dataclasses import dataclass

from codeforge.ledger.port import Ledger, QueueDepth
from codeforge.worker_types import WorkerType


@dataclass(frozen=True, slots=True)
class Demand:
    """Tasks of one type that ask for a slot. `queued` ones wait for a worker, as far as they may run at all."""

    queued: int
    running: int

    @property
    def tasks(self) -> int:
        """What the ScaledObjects' formula adds up: divided by a pod's slots, the pods that are needed."""
        return self.queued + self.running


def demand_of(depths: Mapping[WorkerType, QueueDepth], worker_type: WorkerType, max_agents: int = 0) -> Demand:
    """The demand of a type. Held and delayed tasks ask for nothing, and no more waiting ones do than may begin under
    `max_agents` running at once over all types (0: no cap): tasks of another type may have taken their room since they
    were let into the queue, and a pod for them would only turn them back."""
    depth = depths[worker_type]
    if not max_agents:
        return Demand(depth.queued, depth.running)
    room = max(0, max_agents - sum(each.running for each in depths.values()))
    return Demand(min(depth.queued, room), depth.running)


class Autoscaling:
    """What an autoscaler asks. Both raise LedgerUnavailable: an outage is no figure."""

    def __init__(self, ledger: Ledger, max_agents: int = 0) -> None:
        self._ledger = ledger
        self._max_agents = max_agents

    async def demand(self, worker_type: WorkerType) -> Demand:
        """Of the workers of a type, in tasks."""
        return demand_of((await self._ledger.snapshot()).depths, worker_type, self._max_agents)

    async def outbox(self) -> int:
        """Of the projector: finished tasks that await their projection."""
        return (await self._ledger.snapshot()).outbox_entries
