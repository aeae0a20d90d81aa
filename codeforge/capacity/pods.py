"""Pods of one worker and the tasks that they run."""

import math
from dataclasses import dataclass, field
from enum import StrEnum

from codeforge.capacity.nodes import Node, Request

_LEAST_BUCKET = -1


class PodState(StrEnum):
    """A pod's life. `terminating` ones take no task."""

    PENDING = "pending"
    STARTING = "starting"
    READY = "ready"
    TERMINATING = "terminating"
    GONE = "gone"


@dataclass(slots=True, eq=False)
class SimTask:
    """A task. `done_s` of its `work_s` are in the journal; `run` tells the runs of it apart."""

    arrived_s: float
    work_s: float
    done_s: float = 0.0
    began_s: float = 0.0
    first_began_s: float | None = None
    run: int = 0

    @property
    def left_s(self) -> float:
        """What is still to do when it begins now."""
        return self.work_s - self.done_s

    def journal(self, now_s: float, step_s: float) -> float:
        """It stops here: whole steps stay done. Answers the seconds of work that are to be done again."""
        worked_s = self.done_s + now_s - self.began_s
        kept_s = min(math.floor(worked_s / step_s) * step_s, self.work_s) if step_s else worked_s
        self.done_s = max(kept_s, self.done_s)
        return worked_s - self.done_s


@dataclass(slots=True, eq=False)
class Pod:
    """A pod. `uid` is at random and breaks ties, as Kubernetes' does."""

    uid: float
    made_s: float
    state: PodState = PodState.PENDING
    request: Request | None = None
    node: Node | None = None
    placed_s: float = 0.0
    ready_s: float = 0.0
    running: dict[SimTask, None] = field(default_factory=dict)  # a set has them in another order each time

    @property
    def active(self) -> bool:
        """Whether the ReplicaSet counts it."""
        return self.state in (PodState.PENDING, PodState.STARTING, PodState.READY)


def victims(pods: list[Pod], count: int, now_s: float, *, mark_busy: bool) -> list[Pod]:
    """Which pods a ReplicaSet deletes first: those without a node, not yet ready, of a lower
    `controller.kubernetes.io/pod-deletion-cost` (of busy pods, where they are marked), of a crowded node, ready for a
    shorter time (on a logarithmic scale, ties by chance).

    Source: kubernetes.io, "ReplicaSet", "Scaling a ReplicaSet".
    """
    crowd: dict[Node, int] = {}
    for pod in pods:
        if pod.node is not None:
            crowd[pod.node] = crowd.get(pod.node, 0) + 1

    def rank(pod: Pod) -> tuple[bool, bool, bool, int, int, float]:
        cost = bool(pod.running) and mark_busy
        company = crowd[pod.node] if pod.node is not None else 0
        age = int(math.log2(now_s - pod.ready_s)) if now_s - pod.ready_s >= 1 else _LEAST_BUCKET
        return pod.node is not None, pod.state is PodState.READY, cost, -company, age, pod.uid

    return sorted((pod for pod in pods if pod.active), key=rank)[:count]
