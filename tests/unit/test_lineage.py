"""The lineage use case."""

import asyncio

import pytest

from codeforge.errors import GraphUnavailable, TaskNotFound
from codeforge.lineage import Lineage
from codeforge.stores.memory_graph import MemoryGraphStore
from codeforge.stores.ports import Edge, GraphBatch, Node


def written(*nodes: Node, edges: tuple[Edge, ...] = ()) -> MemoryGraphStore:
    store = MemoryGraphStore()
    asyncio.run(store.write(GraphBatch(nodes, edges)))
    return store


TASK = Node("Task", "t", {"tenant": "acme", "attempts": 2})
PAGE = Node("Document", "d", {"tenant": "acme", "links": ["a", "b"]})
FETCHED = Edge("FETCHED", ("Task", "t"), ("Document", "d"), {"status": 200})


def test_the_view_is_what_the_api_answers() -> None:
    graph = asyncio.run(Lineage(written(TASK, PAGE, edges=(FETCHED,))).of_task("acme", "t"))
    assert graph.model_dump(mode="json", by_alias=True) == {
        "nodes": [
            {"id": "t", "label": "Task", "props": {"tenant": "acme", "attempts": 2}},
            {"id": "d", "label": "Document", "props": {"tenant": "acme", "links": ["a", "b"]}},
        ],
        "edges": [{"type": "FETCHED", "from": "t", "to": "d", "props": {"status": 200}}],
    }


def test_the_view_is_bounded() -> None:
    graph = asyncio.run(Lineage(written(TASK, PAGE, edges=(FETCHED,)), max_nodes=1).of_task("acme", "t"))
    assert ([node.id for node in graph.nodes], graph.edges) == (["t"], [])


@pytest.mark.parametrize(("tenant", "task_id"), [("acme", "other"), ("globex", "t")])
def test_a_task_that_the_tenant_has_not_is_not_found(tenant: str, task_id: str) -> None:
    with pytest.raises(TaskNotFound):
        asyncio.run(Lineage(written(TASK)).of_task(tenant, task_id))


def test_an_outage_is_no_empty_graph() -> None:
    store = written(TASK)
    store.down = True
    with pytest.raises(GraphUnavailable):
        asyncio.run(Lineage(store).of_task("acme", "t"))
