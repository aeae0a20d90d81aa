"""What every finished task leaves, whatever its type."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeforge.records import records_of
from codeforge.records.model import MAX_CONTENT_BYTES, clip_bytes
from codeforge.records.task import FRAGMENTS, MAX_INPUT_BYTES, merged
from codeforge.results import FailedPage, ScrapeResult
from codeforge.stores.graph_model import EDGE_TYPES, LABELS
from codeforge.stores.ports import Edge, GraphBatch, Node
from codeforge.task import ModelCall, Task, TaskFailure, TaskState, Usage
from codeforge.worker_types import WorkerType
from tests.unit.records import test_analysis, test_coding, test_debate
from tests.unit.records.samples import edges, finished, nodes, page, task_node

SCRAPE = ScrapeResult(pages=[page("https://a.example/", "Text", links=["https://b.example/"])], failed=[])
SAMPLES = [
    finished(WorkerType.SCRAPE, SCRAPE),
    finished(WorkerType.ANALYSIS, test_analysis.RESULT, input=test_analysis.QUESTION),
    finished(WorkerType.DEBATE, test_debate.RESULT, input=test_debate.QUESTION),
    finished(WorkerType.CODING, test_coding.coded({"a.py": "1"}, diff="+1"), input=test_coding.PROMPT),
]
CALLS = [ModelCall("plan", "m", 10, 20, 0.5, 1_200), ModelCall("write", "m", 1, 2, 0.25, 300)]


def test_every_worker_type_has_records() -> None:
    assert set(FRAGMENTS) == set(WorkerType) == {task.type for task in SAMPLES}


def test_the_task_node_says_what_happened() -> None:
    task = replace(
        finished(WorkerType.SCRAPE, SCRAPE),
        labels=b'{"team":"x","a":"b=c"}',
        attempts=2,
        usage=Usage(11, 22, 0.75),
        wait_ms=12,
        run_ms=34,
    )

    props = task_node(records_of(task, [])).props

    assert props == {
        "tenant": "acme",
        "type": "scrape",
        "state": "succeeded",
        "created_at": 1_700_000_000_000,
        "started_at": 1_700_000_001_000,
        "finished_at": 1_700_000_002_000,
        "attempts": 2,
        "max_attempts": 3,
        "timeout_s": 600,
        "priority": "normal",
        "parent_id": None,
        "fence": 0,
        "input_tokens": 11,
        "output_tokens": 22,
        "usd": 0.75,
        "wait_ms": 12,
        "run_ms": 34,
        "budget_tokens": None,
        "error_code": None,
        "error_message": None,
        "error_retryable": None,
        "attempt_errors": "[]",
        "labels": ["a=b=c", "team=x"],
        "input": '{"urls":["https://example.org/"]}',
        "result": SCRAPE.model_dump_json(),
        "result_truncated": False,
        "records_error": None,
        "texts_dropped": 0,
    }


@pytest.mark.parametrize("type", list(WorkerType))
@pytest.mark.parametrize("state", [TaskState.FAILED, TaskState.CANCELLED, TaskState.DEAD])
def test_a_task_without_a_result_is_stored_all_the_same(type: WorkerType, state: TaskState) -> None:
    task = finished(type, None, state=state, error=TaskFailure("timeout", "too slow", retryable=False))

    records = records_of(task, [])

    props = task_node(records).props
    assert (props["state"], props["error_code"], props["error_message"]) == (state.value, "timeout", "too slow")
    assert (props["result"], props["result_truncated"], props["records_error"]) == (None, False, None)
    assert len(records.graph.nodes) == 1
    assert not records.texts


def test_model_calls_hang_on_the_task() -> None:
    task = SAMPLES[0]

    records = records_of(task, CALLS)

    first, second = nodes(records, "ModelCall")
    assert first.props == {
        "tenant": "acme",
        "step": "plan",
        "model": "m",
        "input_tokens": 10,
        "output_tokens": 20,
        "usd": 0.5,
        "ms": 1_200,
    }
    assert [(edge.start, edge.end[1]) for edge in edges(records, "CALLED")] == [
        (("Task", task.id), first.id),
        (("Task", task.id), second.id),
    ]


def test_a_parent_that_is_not_stored_yet_keeps_its_children() -> None:
    child = replace(SAMPLES[0], parent_id="parent")

    records = records_of(child, [])

    assert nodes(records, "Task")[1] == Node("Task", "parent", {})
    assert [(edge.start[1], edge.end[1]) for edge in edges(records, "CHILD_OF")] == [(child.id, "parent")]


@pytest.mark.parametrize("type", list(WorkerType))
@pytest.mark.parametrize(
    "result", [b"", b"not json", b"[]", b'{"unknown":1}', b'"\\ud800"', b"\xff\xfe", b"[" * 100_000]
)
def test_a_result_that_cannot_be_read_leaves_the_task_with_the_reason(type: WorkerType, result: bytes) -> None:
    task = finished(type, result, labels=b'{"team":"x"}')

    records = records_of(task, CALLS)

    assert not records.texts
    assert {node.label for node in records.graph.nodes} == {"Task", "ModelCall"}
    props = task_node(records).props
    assert "Result" in str(props["records_error"])
    assert props["labels"] == ["team=x"]


def test_the_reason_quotes_nothing_of_the_result() -> None:
    task = finished(WorkerType.SCRAPE, b'{"pages":"private words","failed":[]}')

    assert "private" not in str(task_node(records_of(task, [])).props["records_error"])


def test_labels_or_input_that_cannot_be_read_do_not_raise() -> None:
    bad_labels = replace(SAMPLES[0], labels=b"[1]")
    bad_input = replace(SAMPLES[1], input=b"\xff")

    assert task_node(records_of(bad_labels, [])).props["records_error"] is not None
    assert task_node(records_of(bad_input, [])).props["records_error"] is not None


@pytest.mark.parametrize(("extra", "kept"), [(0, True), (1, False)])
def test_a_result_is_kept_whole_or_not_at_all(extra: int, kept: bool) -> None:
    empty = len(ScrapeResult(pages=[], failed=[FailedPage(url="", code="", message="")]).model_dump_json())
    message = "m" * (MAX_CONTENT_BYTES - empty + extra)
    result = ScrapeResult(pages=[], failed=[FailedPage(url="", code="", message=message)])

    props = task_node(records_of(finished(WorkerType.SCRAPE, result), [])).props

    assert props["result"] == (result.model_dump_json() if kept else None)
    assert props["result_truncated"] is not kept


def test_a_long_input_is_cut() -> None:
    task = replace(SAMPLES[1], input=json.dumps({"question": "é" * 10_000}, ensure_ascii=False).encode())

    text = str(task_node(records_of(task, [])).props["input"])

    assert MAX_INPUT_BYTES - 1 <= len(text.encode()) <= MAX_INPUT_BYTES


@pytest.mark.parametrize("task", SAMPLES, ids=lambda task: task.type.value)
def test_records_are_the_same_every_time_and_use_the_names_of_the_graph_model(task: Task) -> None:
    records = records_of(task, CALLS)

    assert records == records_of(replace(task), list(CALLS))
    assert {node.label for node in records.graph.nodes} <= set(LABELS)
    assert {edge.type for edge in records.graph.edges} <= set(EDGE_TYPES)
    assert {node.props["tenant"] for node in records.graph.nodes} == {"acme"}
    assert len({text.id for text in records.texts}) == len(records.texts) > 0


def test_a_payload_says_where_a_text_comes_from() -> None:
    task = SAMPLES[0]
    text = records_of(task, []).texts[0]

    assert text.page is not None
    assert text.payload(task) == {
        "document": text.page.document,
        "version": text.page.version,
        "fetched_at": 1_700_000_002_000,
        "task_id": task.id,
        "type": "scrape",
        "kind": "page",
        "tenant": "acme",
        "url": "https://a.example/",
        "created_at": 1_700_000_000_000,
        "text": "https://a.example/\nText",
    }


def test_merging_keeps_each_row_once_with_the_later_values() -> None:
    edge = Edge("CALLED", ("Task", "a"), ("ModelCall", "b"), {"n": 1})

    batch = merged(
        [
            GraphBatch([Node("Task", "a", {"x": 1, "y": 1}), Node("Task", "b")], [edge]),
            GraphBatch([Node("Task", "a", {"y": 2}), Node("Chunk", "a")], [replace(edge, props={"n": 2})]),
        ]
    )

    assert batch == GraphBatch(
        [Node("Task", "a", {"x": 1, "y": 2}), Node("Task", "b"), Node("Chunk", "a")], [replace(edge, props={"n": 2})]
    )


@given(st.text(), st.integers(0, 40))
def test_clipped_text_is_the_longest_beginning_that_fits(text: str, limit: int) -> None:
    clipped = clip_bytes(text, limit)

    assert text.startswith(clipped)
    assert len(clipped.encode()) <= limit
    assert clipped == text or len(text[: len(clipped) + 1].encode()) > limit
