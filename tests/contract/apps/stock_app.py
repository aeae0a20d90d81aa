"""A plain Celery application that knows nothing of CodeForge but the task's name and the queue."""

from celery import Celery
from redis import Redis

from codeforge.settings import load_settings

_address = load_settings().redis_address
app = Celery("stock", broker=_address, set_as_current=False)
app.conf.update(task_default_queue="scrape", worker_send_task_events=True, broker_connection_retry_on_startup=True)


@app.task(name="codeforge.scrape", bind=True, shared=False)
def report(self, task_id):  # type: ignore[no-untyped-def]
    with Redis.from_url(_address) as client:
        client.rpush("log", f"run {task_id} {self.request.id} {self.request.root_id}")
