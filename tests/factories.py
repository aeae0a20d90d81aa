"""Tasks as tests need them."""

from typing import Any

from codeforge.identity import new_task_id
from codeforge.task import NewTask
from codeforge.worker_types import Priority, WorkerType


def new_task(**fields: Any) -> NewTask:
    """A submission with sensible values for all that is not given."""
    values: dict[str, Any] = {
        "id": new_task_id(),
        "tenant": "acme",
        "type": WorkerType.SCRAPE,
        "priority": Priority.NORMAL,
        "input": b'{"urls":["https://example.org/"],"nothing":[]}',
        "labels": b'{"project":"x"}',
        "timeout_s": 60,
        "max_attempts": 2,
    }
    return NewTask(**(values | fields))
