"""What the projector makes is what the graph stores take."""

import asyncio
from dataclasses import replace

from codeforge.projection import Projector
from codeforge.stores.memory_graph import MemoryGraphStore
from codeforge.task import TaskFailure, TaskState
from tests.unit.records.test_task_records import CALLS, SAMPLES
from tests.unit.test_projection import Embedder, Vectors


def test_every_type_s_records_are_stored_and_lead_from_the_task_to_its_parts() -> None:
    graph = MemoryGraphStore()
    tasks = [replace(task, id=task.type.value, parent_id="scrape") for task in SAMPLES]
    tasks[0] = replace(tasks[0], parent_id=None)

    # The children come first, as they end first.
    report = asyncio.run(Projector(graph, Vectors(), Embedder()).project([(task, CALLS) for task in reversed(tasks)]))
    found = {task.id: asyncio.run(graph.neighbourhood("acme", task.id, 1_000)) for task in tasks}

    assert report.rejected == ()
    reached = {task_id: {node.label for node in near.nodes} for task_id, near in found.items() if near is not None}
    assert reached == {
        "scrape": {"Task", "ModelCall", "Document", "Version", "Chunk"},
        "analysis": {"Task", "ModelCall", "Artifact", "Claim", "Document", "Chunk"},
        "debate": {"Task", "ModelCall", "Argument", "Verdict"},
        "coding": {"Task", "ModelCall", "Artifact"},
    }
    parent = found["scrape"]
    assert parent is not None
    assert {node.id for node in parent.nodes if node.label == "Task"} == {"scrape", "analysis", "debate", "coding"}


def test_a_parent_that_is_not_stored_yet_is_nobody_s_task() -> None:
    graph = MemoryGraphStore()
    child = replace(SAMPLES[0], parent_id="parent")

    asyncio.run(Projector(graph, Vectors(), Embedder()).project([(child, CALLS)]))

    assert asyncio.run(graph.neighbourhood("acme", "parent", 10)) is None


def test_a_replayed_task_loses_what_its_earlier_outcome_said() -> None:
    graph = MemoryGraphStore()
    projector = Projector(graph, Vectors(), Embedder())
    failed = replace(SAMPLES[0], state=TaskState.DEAD, result=None, error=TaskFailure("timeout", "late", True))

    asyncio.run(projector.project([(failed, CALLS)]))
    asyncio.run(projector.project([(SAMPLES[0], CALLS)]))

    props = graph.nodes["Task", failed.id]
    assert props["state"] == "succeeded"
    assert "error_code" not in props
