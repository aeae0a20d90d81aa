"""What the ledger needs to ring the broker's doorbell from Lua: a queue and a ready message per type and priority."""

from collections.abc import Mapping
from dataclasses import dataclass

from codeforge.worker_types import Priority, WorkerType


@dataclass(frozen=True, slots=True)
class Bell:
    """`template` is a Celery message in the broker's wire format, with `@CELERY_ID@` and `@TASK_ID@` where the ids
    go; it is LPUSHed onto the list `queue`."""

    queue: str
    template: str


Bells = Mapping[tuple[WorkerType, Priority], Bell]
