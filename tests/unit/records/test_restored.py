"""The way back: tasks and texts from what the graph holds of them."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from codeforge.records import TaskRecords, records_of
from codeforge.records.model import MAX_CONTENT_BYTES
from codeforge.records.question import question_of
from codeforge.records.refound import texts_of
from codeforge.records.restored import restored_task
from codeforge.results import ScrapeResult
from codeforge.stores.ports import Node
from codeforge.task import Task, TaskFailure, TaskState, Usage
from codeforge.worker_types import SPECS, Priority, WorkerType
from tests.unit.records.samples import finished, page, task_node
from tests.unit.records.test_task_records import SAMPLES

LONG = "\n\n".join(
    f"## Part {number}\n\n" + f"Words of part {number}, and some more of them. " * 12 for number in range(9)
)
PAGES = ScrapeResult(
    pages=[page(f"https://a.example/{name}", LONG, title=f"Page {name}") for name in "ab"]
    + [page("https://a.example/bare", "No title, and one short passage.")],
    failed=[],
)


def stored(task: Task) -> Node:
    """The task's node as a graph gives it: without the properties that are None."""
    node = task_node(records_of(task, []))
    return Node(node.label, node.id, {name: value for name, value in node.props.items() if value is not None})


@pytest.mark.parametrize("task", SAMPLES, ids=lambda task: task.type.value)
def test_a_stored_task_comes_back_as_it_was(task: Task) -> None:
    full = replace(
        task,
        labels=b'{"path":"a=b","team":"x"}',
        parent_id="0190a1b2-0000-7000-8000-000000000009",
        priority=Priority.HIGH,
        fence=4,
        usage=Usage(11, 22, 0.75),
        stored=True,
    )

    restored = restored_task(stored(full))

    assert restored.task == full
    assert not restored.result_truncated


def test_a_failed_task_comes_back_with_its_error_and_reasons() -> None:
    task = finished(
        WorkerType.SCRAPE,
        None,
        state=TaskState.DEAD,
        error=TaskFailure("timeout", "too slow", retryable=True),
        reasons=b'[{"attempt":1,"code":"timeout","message":"too slow","at":5}]',
        stored=True,
    )

    assert restored_task(stored(task)).task == task


def test_a_result_too_large_for_the_node_is_said_to_be_missing() -> None:
    large = ScrapeResult(pages=[page("https://a.example/", "x" * MAX_CONTENT_BYTES)], failed=[])

    restored = restored_task(stored(finished(WorkerType.SCRAPE, large)))

    assert (restored.task.result, restored.result_truncated) == (None, True)


def test_what_an_older_release_did_not_write_has_the_type_s_defaults() -> None:
    node = Node("Task", "t", {"tenant": "acme", "type": "coding", "state": "failed", "created_at": 5})

    task = restored_task(node).task

    spec = SPECS[WorkerType.CODING]
    assert (task.timeout_s, task.max_attempts, task.priority) == (spec.timeout_s, spec.max_attempts, Priority.NORMAL)
    assert (task.input, task.labels, task.reasons, task.error) == (b"{}", b"{}", b"[]", None)


def by_id(records: TaskRecords) -> dict[str, str]:
    return {text.id: text.text for text in records.texts}


@pytest.mark.parametrize("task", SAMPLES, ids=lambda task: task.type.value)
def test_texts_are_found_again_under_their_ids(task: Task) -> None:
    records = records_of(task, [])

    found = texts_of(task.id, question_of(task), records.graph)

    lost = [text for text in records.texts if text.kind == "diff"]  # the graph does not hold it
    assert found
    assert sorted((text.id, text.kind, text.text, text.url or "") for text in found) == sorted(
        (text.id, text.kind, text.text, text.url or "") for text in records.texts if text not in lost
    )


def test_pages_are_put_together_from_their_passages() -> None:
    task = finished(WorkerType.SCRAPE, PAGES)
    records = records_of(task, [])

    found = texts_of(task.id, "", records.graph)

    assert [(text.id, text.url) for text in found] == [(text.id, text.url) for text in records.texts]
    assert {text.id: squeezed(text.text) for text in found} == {
        text_id: squeezed(text) for text_id, text in by_id(records).items()
    }


def squeezed(text: str) -> str:
    """Without the white space, of which the cuts take some; pages are cut at a length."""
    return "".join(text.split())[:600]


def test_passages_of_an_earlier_version_are_left_out() -> None:
    task = finished(WorkerType.SCRAPE, PAGES)
    graph = records_of(task, []).graph

    nodes: Sequence[Node] = [
        replace(node, props={**node.props, "content_hash": "new"}) if node.label == "Document" else node
        for node in graph.nodes
    ]

    assert {text.kind for text in texts_of(task.id, "", replace(graph, nodes=nodes))} == {"page"}
