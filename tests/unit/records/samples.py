"""Finished tasks to make records of."""

from dataclasses import replace
from typing import Any

from codeforge.records import TaskRecords
from codeforge.records.identity import content_hash
from codeforge.results import Page, ResultModel
from codeforge.stores.ports import Edge, Node
from codeforge.task import Task, TaskState
from codeforge.worker_types import Priority, WorkerType

FINISHED = Task(
    id="0190a1b2-0000-7000-8000-000000000001",
    tenant="acme",
    type=WorkerType.SCRAPE,
    state=TaskState.SUCCEEDED,
    priority=Priority.NORMAL,
    input=b'{"urls":["https://example.org/"]}',
    labels=b"{}",
    parent_id=None,
    created_at=1_700_000_000_000,
    started_at=1_700_000_001_000,
    finished_at=1_700_000_002_000,
    timeout_s=600,
    max_attempts=3,
    attempts=1,
)


def finished(type: WorkerType, result: ResultModel | bytes | None, **fields: Any) -> Task:
    """A task that succeeded with this result; `fields` replace its other ones."""
    text = result.model_dump_json().encode() if isinstance(result, ResultModel) else result
    return replace(FINISHED, type=type, result=text, **fields)


def page(url: str, markdown: str = "", **fields: Any) -> Page:
    """A fetched page."""
    values: dict[str, Any] = {
        "url": url,
        "final_url": url,
        "status_code": 200,
        "markdown": markdown,
        "content_hash": content_hash(markdown),
    }
    return Page(**(values | fields))


def nodes(records: TaskRecords, label: str) -> list[Node]:
    """The records' nodes of one label, in order."""
    return [node for node in records.graph.nodes if node.label == label]


def edges(records: TaskRecords, type: str) -> list[Edge]:
    """The records' edges of one type, in order."""
    return [edge for edge in records.graph.edges if edge.type == type]


def task_node(records: TaskRecords) -> Node:
    """The task's own node, which comes first."""
    node = records.graph.nodes[0]
    assert node.label == "Task"
    return node
