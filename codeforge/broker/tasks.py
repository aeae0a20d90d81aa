"""The Celery tasks: one a worker type, each of which asks the runtime to look at one task id."""

from collections.abc import Sequence

from celery import Celery

from codeforge.broker.host import RuntimeHost, attach
from codeforge.broker.runtime import RuntimeFactory
from codeforge.worker_types import WorkerType, task_name

STRATEGY = "codeforge.broker.strategy:doorbell"


def register(app: Celery, served: Sequence[WorkerType], factory: RuntimeFactory, *, drain_s: float) -> None:
    """Gives the app its runtime and the tasks of the `served` types.

    `factory` makes the runtime when a worker's pool starts, not before; `drain_s` is how long, in seconds, running
    tasks may go on after SIGTERM.
    """
    host = RuntimeHost(factory, drain_s)
    attach(app, host)
    for worker_type in served:
        app.task(host.look_at, name=task_name(worker_type), shared=False, Strategy=STRATEGY)
