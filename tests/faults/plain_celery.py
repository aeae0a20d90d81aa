"""The same Celery worker as it comes: messages kept until a late acknowledgement, and a result backend. Its tasks do
nothing, and no ledger knows of them: `celery -A tests.faults.plain_celery worker`."""

from codeforge.broker.app import make_app
from codeforge.broker.tasks import register
from codeforge.settings import load_settings
from codeforge.worker_types import WorkerType


class Idle:
    """A runtime without work."""

    async def start(self, slots: int) -> None: ...

    async def run(self, task_id: str) -> None: ...

    def stop_claiming(self) -> None: ...

    async def drain(self, deadline_s: float) -> None: ...

    async def stop(self) -> None: ...


_settings = load_settings()
app = make_app(_settings, [WorkerType.SCRAPE])
app.conf.update(
    result_backend=_settings.redis_address,
    task_ignore_result=False,
    task_acks_late=True,
    broker_transport_options=app.conf.broker_transport_options | {"ack_emulation": True},
)
register(app, [WorkerType.SCRAPE], Idle, drain_s=1.0)
