"""What the ledger needs to ring the broker's doorbell from Lua: a queue and a ready message per type and priority."""

from collections.abc import Mapping
from dataclasses import dataclass

from codeforge.ledger.scripts import Argument
from codeforge.worker_types import Priority, WorkerType


@dataclass(frozen=True, slots=True)
class Bell:
    """`template` is a Celery message in the broker's wire format, with `@CELERY_ID@` and `@TASK_ID@` where the ids
    go; it is LPUSHed onto the list `queue`."""

    queue: str
    template: str


Bells = Mapping[tuple[WorkerType, Priority], Bell]


def by_priority(bells: Bells, worker_type: WorkerType) -> list[Argument]:
    """(priority, queue, template)... of one type, as scripts take it."""
    args: list[Argument] = []
    for priority in Priority:
        bell = bells[worker_type, priority]
        args += [priority.value, bell.queue, bell.template]
    return args


def all_bells(bells: Bells) -> list[Argument]:
    """(type, priority, queue, template)... of every type."""
    args: list[Argument] = []
    for (worker_type, priority), bell in bells.items():
        args += [worker_type.value, priority.value, bell.queue, bell.template]
    return args
