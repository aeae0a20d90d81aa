"""The doorbell's wire format."""

import json

import pytest

from codeforge.broker.message import CELERY_ID, TASK_ID, ring, ring_template
from codeforge.worker_types import Priority, WorkerType


def test_the_first_message_has_the_tasks_id_as_its_celery_id() -> None:
    message = ring("0198-ab", WorkerType.CODING, Priority.HIGH)
    envelope = json.loads(message.body)
    assert message.queue == "coding.high"
    assert envelope["headers"]["task"] == "codeforge.coding"
    assert (envelope["headers"]["id"], envelope["headers"]["root_id"]) == ("0198-ab", "0198-ab")
    assert envelope["properties"]["delivery_info"] == {"exchange": "", "routing_key": "coding.high"}


def test_a_later_ring_has_an_id_of_its_own_and_the_tasks_as_root() -> None:
    envelope = json.loads(ring("0198-ab", WorkerType.SCRAPE, Priority.NORMAL, ring_number=2).body)
    headers, properties = envelope["headers"], envelope["properties"]
    assert (headers["id"], headers["root_id"]) == ("0198-ab:r2", "0198-ab")
    assert (properties["correlation_id"], properties["delivery_tag"]) == ("0198-ab:r2", "0198-ab:r2")


@pytest.mark.parametrize("number", [0, 7])
def test_it_carries_the_task_id_and_nothing_else(number: int) -> None:
    envelope = json.loads(ring("0198-ab", WorkerType.DEBATE, Priority.LOW, number).body)
    args, kwargs, _ = json.loads(envelope["body"])
    assert (args, kwargs) == (["0198-ab"], {})


@pytest.mark.parametrize("worker_type", WorkerType)
@pytest.mark.parametrize("priority", Priority)
def test_the_template_needs_only_the_two_ids(worker_type: WorkerType, priority: Priority) -> None:
    form = ring_template(worker_type, priority)
    filled = form.template.replace(CELERY_ID, "id:r1").replace(TASK_ID, "id")
    assert (form.queue, filled.encode()) == tuple(
        getattr(ring("id", worker_type, priority, 1), f) for f in ("queue", "body")
    )
    assert "@" not in filled


@pytest.mark.parametrize("task_id", ["", 'a"b', "a:r1", "a b", "@TASK_ID@", "a\n", "é", "x" * 129])
def test_an_id_that_would_need_escaping_is_refused(task_id: str) -> None:
    with pytest.raises(ValueError, match="task id"):
        ring(task_id, WorkerType.CODING, Priority.NORMAL)
