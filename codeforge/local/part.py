"""A part of the stack: a process and its place in the order of starting and stopping."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from codeforge.local.process import ProcessSpec


class Kind(Enum):
    """Engines start first and stop last; workers stop first, while what they hand their tasks back to still runs."""

    ENGINE = "engines"
    SERVICE = "services"
    WORKER = "workers"


START_STAGES: tuple[tuple[Kind, ...], ...] = ((Kind.ENGINE,), (Kind.SERVICE, Kind.WORKER))
STOP_S = 9.0
"""Seconds for all children to end: a second less than is promised, for the supervisor itself."""

STOP_RESERVE_S: dict[Kind, float] = {Kind.WORKER: 6.0, Kind.SERVICE: 1.5, Kind.ENGINE: 1.5}
"""In the order of stopping: what each kind has of `STOP_S` at least, before SIGKILL. What one kind leaves, the next
ones have too."""


@dataclass(frozen=True, slots=True)
class Part:
    """`start_s` bounds the time from a start to readiness, in seconds. `health_file` is removed before each start."""

    spec: ProcessSpec
    kind: Kind
    start_s: float = 90.0
    health_file: Path | None = None

    @property
    def name(self) -> str:
        """The process's name in messages, logs and the ready file."""
        return self.spec.name
