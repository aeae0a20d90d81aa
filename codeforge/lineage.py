"""The lineage use case: what a task called, fetched, produced and claimed, as a graph."""

from pydantic import BaseModel, ConfigDict, Field

from codeforge.errors import TaskNotFound
from codeforge.records.restored import RestoredTask, restored_task
from codeforge.stores.ports import GraphBatch, GraphStore, Scalar

MAX_NODES = 1_000


class LineageNode(BaseModel):
    """A node: `id` is unique in the graph, `props` are its other properties."""

    model_config = ConfigDict(frozen=True)

    id: str
    label: str
    props: dict[str, Scalar]


class LineageEdge(BaseModel):
    """A relationship; `from` and `to` are ids of nodes of the same graph."""

    model_config = ConfigDict(frozen=True)

    type: str
    start: str = Field(serialization_alias="from")
    end: str = Field(serialization_alias="to")
    props: dict[str, Scalar]


class LineageGraph(BaseModel):
    """Nodes, the task first, and the edges among them. Its JSON is by alias: `from` and `to`."""

    model_config = ConfigDict(frozen=True)

    nodes: list[LineageNode]
    edges: list[LineageEdge]


class Lineage:
    """Reads lineage from the graph store; at most `max_nodes` nodes, the nearest to the task."""

    def __init__(self, graph: GraphStore, max_nodes: int = MAX_NODES) -> None:
        self._graph = graph
        self._max_nodes = max_nodes

    async def of_task(self, tenant: str, task_id: str) -> LineageGraph:
        """Raises TaskNotFound when the tenant has no such task in the graph, where a task comes only once it is
        stored, and GraphUnavailable."""
        found = await self._graph.neighbourhood(tenant, task_id, self._max_nodes)
        if found is None:
            raise TaskNotFound("no such task")
        return _view(found)

    async def restored(self, tenant: str, task_id: str) -> RestoredTask:
        """The task as its node tells of it, for when the ledger has let it go. Raises as `of_task` does."""
        found = await self._graph.neighbourhood(tenant, task_id, 1)
        if found is None:
            raise TaskNotFound("no such task")
        return restored_task(found.nodes[0])


def _view(batch: GraphBatch) -> LineageGraph:
    return LineageGraph(
        nodes=[LineageNode(id=node.id, label=node.label, props=dict(node.props)) for node in batch.nodes],
        edges=[
            LineageEdge(type=edge.type, start=edge.start[1], end=edge.end[1], props=dict(edge.props))
            for edge in batch.edges
        ],
    )
