"""Any finished task: its Task node, its model calls, its parent, and what its worker type adds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pydantic import RootModel, ValidationError

from codeforge.records.analysis import analysis_fragment
from codeforge.records.coding import coding_fragment
from codeforge.records.debate import debate_fragment
from codeforge.records.identity import stable_id
from codeforge.records.model import MAX_CONTENT_BYTES, MAX_TEXTS, Fragment, SearchText, TaskRecords, clip_bytes
from codeforge.records.scrape import scrape_fragment
from codeforge.stores.graph_model import EdgeType, Label
from codeforge.stores.ports import Edge, GraphBatch, Node, Scalar
from codeforge.task import ModelCall, Task
from codeforge.worker_types import WorkerType

MAX_INPUT_BYTES = 10_000
MAX_ERROR_CHARS = 2_000

FRAGMENTS: Mapping[WorkerType, Callable[[Task, bytes], Fragment]] = {
    WorkerType.SCRAPE: scrape_fragment,
    WorkerType.ANALYSIS: analysis_fragment,
    WorkerType.DEBATE: debate_fragment,
    WorkerType.CODING: coding_fragment,
}


class _Labels(RootModel[dict[str, str]]):
    """A task's labels."""


def records_of(task: Task, calls: Sequence[ModelCall]) -> TaskRecords:
    """All that a finished task and its model calls leave in the stores; the same for the same task, always.

    A result, input or labels that cannot be read leave the bare Task, which says why in `records_error`: one odd task
    must not hold up the others behind it. Properties that do not apply are None, so that a replayed task loses those
    of its earlier outcome.
    """
    fragment, labels, error = Fragment(), list[str](), None
    try:
        labels = sorted(f"{key}={value}" for key, value in _Labels.model_validate_json(task.labels).root.items())
        if task.result is not None:
            fragment = FRAGMENTS[task.type](task, task.result)
    except ValidationError as failure:
        error = _first_error(failure)
    texts = _distinct(fragment.texts)
    props = _task_props(task) | {
        "labels": labels,
        "records_error": error,
        "texts_dropped": max(0, len(texts) - MAX_TEXTS),
    }
    nodes = [Node(Label.TASK, task.id, props), *fragment.nodes]
    edges = list(fragment.edges)
    for call in calls:
        node = _call_node(task, call)
        nodes.append(node)
        edges.append(Edge(EdgeType.CALLED, (Label.TASK, task.id), (Label.MODEL_CALL, node.id)))
    if task.parent_id is not None and task.parent_id != task.id:
        # The parent usually ends after its children. A node with its id alone keeps the edge until then, and takes
        # nothing from a parent that is there already.
        nodes.append(Node(Label.TASK, task.parent_id))
        edges.append(Edge(EdgeType.CHILD_OF, (Label.TASK, task.id), (Label.TASK, task.parent_id)))
    return TaskRecords(merged([GraphBatch(nodes, edges)]), texts[:MAX_TEXTS])


def merged(batches: Sequence[GraphBatch]) -> GraphBatch:
    """One batch with each node and each edge once: of a property that was given twice, the later value stands, as
    it would had the batches been written one after the other."""
    nodes: dict[tuple[str, str], Node] = {}
    edges: dict[tuple[str, tuple[str, str], tuple[str, str]], Edge] = {}
    for batch in batches:
        for node in batch.nodes:
            before = nodes.get((node.label, node.id))
            nodes[node.label, node.id] = node if before is None else replace(node, props={**before.props, **node.props})
        for edge in batch.edges:
            edges[edge.type, edge.start, edge.end] = edge
    return GraphBatch(list(nodes.values()), list(edges.values()))


def _task_props(task: Task) -> dict[str, Scalar]:
    result_fits = task.result is None or len(task.result) <= MAX_CONTENT_BYTES
    return {
        "tenant": task.tenant,
        "type": task.type.value,
        "state": task.state.value,
        "created_at": task.created_at,
        "started_at": task.started_at,
        "finished_at": task.finished_at,
        "attempts": task.attempts,
        "max_attempts": task.max_attempts,
        "timeout_s": task.timeout_s,
        "priority": task.priority.value,
        "parent_id": task.parent_id,
        "budget_tokens": task.budget_tokens,
        "fence": task.fence,
        "input_tokens": task.usage.input_tokens,
        "output_tokens": task.usage.output_tokens,
        "usd": task.usage.usd,
        "wait_ms": task.wait_ms,
        "run_ms": task.run_ms,
        "error_code": task.error.code if task.error else None,
        "error_message": task.error.message[:MAX_ERROR_CHARS] if task.error else None,
        "error_retryable": task.error.retryable if task.error else None,
        "attempt_errors": task.reasons.decode() if len(task.reasons) <= MAX_CONTENT_BYTES else "[]",
        "input": clip_bytes(task.input.decode(errors="replace"), MAX_INPUT_BYTES),
        "result": task.result.decode(errors="replace") if task.result is not None and result_fits else None,
        "result_truncated": not result_fits,
    }


def _call_node(task: Task, call: ModelCall) -> Node:
    props: dict[str, Scalar] = {
        "tenant": task.tenant,
        "step": call.step,
        "model": call.model,
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "usd": call.usd,
        "ms": call.ms,
    }
    return Node(Label.MODEL_CALL, stable_id(task.id, f"call:{call.step}"), props)


def _distinct(texts: Sequence[SearchText]) -> list[SearchText]:
    return list({text.id: text for text in texts}.values())


def _first_error(failure: ValidationError) -> str:
    """One line that names the place, without the value: results hold what clients and pages wrote."""
    first = failure.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{failure.title}: {place + ': ' if place else ''}{first['msg']}"[:MAX_ERROR_CHARS]
