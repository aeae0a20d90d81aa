"""Port: the pods of the process's own namespace."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod. `deletion_cost` is its annotation `controller.kubernetes.io/pod-deletion-cost`, or 0, which a pod without
    one counts as; `leaving` says that it is being deleted."""

    name: str
    uid: str
    deletion_cost: int = 0
    leaving: bool = False


class Pods(Protocol):
    """All raise ClusterUnavailable."""

    async def list(self) -> Sequence[Pod]:
        """The workers' pods."""
        ...

    async def set_deletion_cost(self, pod: Pod, cost: int) -> None:
        """A ReplicaSet deletes pods of lower cost first. Raises PodChanged when there is no such pod any more."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...
