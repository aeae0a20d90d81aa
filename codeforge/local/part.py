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
STOP_GRACE_S: dict[Kind, float] = {Kind.WORKER: 6.0, Kind.SERVICE: 1.5, Kind.ENGINE: 1.5}
"""In the order of stopping: seconds from SIGTERM to SIGKILL. Their sum leaves a second of the promised ten."""


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
