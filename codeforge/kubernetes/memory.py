"""Pods in memory, for unit tests."""

from collections.abc import Sequence
from dataclasses import replace

from codeforge.errors import PodChanged
from codeforge.kubernetes.port import Pod, Pods


class MemoryPods(Pods):
    """Holds `pods` by name and the `writes` made. The next calls raise the `failures`, one each, None for none."""

    def __init__(self, *names: str) -> None:
        self.pods = {name: Pod(name, f"uid of {name}") for name in names}
        self.writes: list[tuple[str, int]] = []
        self.failures: list[Exception | None] = []
        self.lists = 0
        self.closed = False

    def _fail(self) -> None:
        if self.failures and (failure := self.failures.pop(0)) is not None:
            raise failure

    async def list(self) -> Sequence[Pod]:
        """See `Pods.list`."""
        self.lists += 1
        self._fail()
        return list(self.pods.values())

    async def set_deletion_cost(self, pod: Pod, cost: int) -> None:
        """See `Pods.set_deletion_cost`."""
        self._fail()
        if self.pods.get(pod.name, pod).uid != pod.uid or pod.name not in self.pods:
            raise PodChanged("no such pod")
        self.writes.append((pod.name, cost))
        self.pods[pod.name] = replace(self.pods[pod.name], deletion_cost=cost)

    async def close(self) -> None:
        """Leaves word that it was called."""
        self.closed = True
