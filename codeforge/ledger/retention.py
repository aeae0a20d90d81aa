"""How long the ledger keeps what has ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from codeforge.task import TaskState


@dataclass(frozen=True, slots=True)
class Retention:
    """Seconds for which a task is kept once it has ended and is stored, by its final state."""

    default_s: int
    by_state: Mapping[TaskState, int] = field(default_factory=dict)

    def of(self, state: TaskState) -> int:
        """Seconds for tasks that ended so."""
        return self.by_state.get(state, self.default_s)

    @property
    def shortest_s(self) -> int:
        """Nothing that is younger can have expired."""
        return min([self.default_s, *self.by_state.values()])
