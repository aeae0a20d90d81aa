"""What the simulator runs: the workloads of a deployment, each with what scales it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from codeforge.capacity.behavior import Behavior, Bounds
from codeforge.capacity.keda import ScaledObject
from codeforge.worker_types import WorkerType


class Resource(StrEnum):
    """What an HPA can measure of a pod."""

    CPU = "cpu"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class ResourceMetric:
    """An HPA's target: average use in percent of the requests."""

    resource: Resource
    percent: int


@dataclass(frozen=True, slots=True)
class PlainHpa:
    """An HPA without KEDA."""

    name: str
    target: str
    bounds: Bounds
    metrics: Sequence[ResourceMetric]
    behavior: Behavior


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment or StatefulSet. `slots` is how many tasks a pod runs at once, for the worker `types` that it serves;
    others only take room. `cpu` (cores) and `memory` (bytes) are requests of one pod.

    On SIGTERM a pod takes no further task, lets those that run end for `drain_s` seconds, hands the others back, and is
    killed after `grace_s`. Without `hands_back` it only waits to be killed.
    """

    name: str
    types: Sequence[WorkerType] = ()
    slots: int = 0
    cpu: float = 0.0
    memory: float = 0.0
    grace_s: float = 30.0
    drain_s: float = 25.0
    hands_back: bool = True
    replicas: int = 0
    scaler: ScaledObject | PlainHpa | None = None

    @property
    def bounds(self) -> Bounds:
        """How many pods there may be."""
        if isinstance(self.scaler, ScaledObject):
            least = self.scaler.min_replicas if self.scaler.idle_replicas is None else self.scaler.idle_replicas
            return Bounds(least, self.scaler.max_replicas)
        return self.scaler.bounds if self.scaler is not None else Bounds(self.replicas, self.replicas)


@dataclass(frozen=True, slots=True)
class Deployment:
    """All workloads of one namespace."""

    workloads: Sequence[Workload]

    @property
    def workers(self) -> list[Workload]:
        """Those that run tasks."""
        return [workload for workload in self.workloads if workload.slots]

    def replaced(self, workers: Sequence[Workload]) -> "Deployment":
        """The same with other workers of the same names."""
        new = {worker.name: worker for worker in workers}
        return replace(self, workloads=[new.get(workload.name, workload) for workload in self.workloads])
