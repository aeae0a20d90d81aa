"""The Cypher that reads: a task's neighbourhood, and where a claim comes from."""

from collections.abc import Iterable
from typing import Any

from neo4j import AsyncManagedTransaction

from codeforge.stores.graph_model import LABELS, MAX_EDGES_PER_NODE
from codeforge.stores.ports import Edge, GraphBatch, Node

_TASK = "MATCH (n:Task {id: $id}) WHERE n.tenant = $tenant"

_NEAR = "MATCH (t:Task {id: $id})--(n) WHERE n.tenant = $tenant AND n <> t"

_FAR = "MATCH (t:Task {id: $id})-->(h)-->(n) WHERE n.tenant = $tenant AND h.tenant = $tenant AND NOT h:Task"

_CLAIM = "MATCH (n:Claim {id: $id}) WHERE n.tenant = $tenant"

_TRAIL = (
    "MATCH (c:Claim {id: $id})-[:CITES]->(n) WHERE n.tenant = $tenant",
    "MATCH (c:Claim {id: $id})-[:CITES]->(k)<-[:HAS_CHUNK]-(n) WHERE n.tenant = $tenant AND k.tenant = $tenant",
    "MATCH (c:Claim {id: $id})<-[:CLAIMED]-(n) WHERE n.tenant = $tenant",
    "MATCH (c:Claim {id: $id})<-[:CLAIMED]-(t)-[:CALLED]->(n) WHERE n.tenant = $tenant AND t.tenant = $tenant",
)

_NODES = (
    " WITH DISTINCT n, labels(n)[0] AS label ORDER BY label, n.id LIMIT $limit RETURN label, properties(n) AS props"
)

_EDGES = (
    "MATCH (a:{label}) WHERE a.id IN $starts MATCH (a)-[r]->(b) WHERE labels(b)[0] + ' ' + b.id IN $ends "
    "RETURN type(r) AS type, a.id AS start, labels(b)[0] AS label, b.id AS end, properties(r) AS props "
    "ORDER BY type, start, label, end LIMIT $limit"
)

_TASKS = (
    "MATCH (n:Task) WHERE n.id > $after AND n.tenant IS NOT NULL "
    "WITH n ORDER BY n.id LIMIT $limit RETURN 'Task' AS label, properties(n) AS props"
)

End = tuple[str, str]


async def read_tasks(transaction: AsyncManagedTransaction, after: str, limit: int) -> list[Node]:
    """As `GraphStore.tasks`. Raises the driver's errors."""
    return list(_by_end(await _fetched(transaction, _TASKS, {"after": after, "limit": limit})).values())


async def read_neighbourhood(
    transaction: AsyncManagedTransaction, tenant: str, task_id: str, limit: int
) -> GraphBatch | None:
    """As `GraphStore.neighbourhood`. Raises the driver's errors."""

    async def nodes(pattern: str, at_most: int) -> dict[End, Node]:
        parameters = {"id": task_id, "tenant": tenant, "limit": at_most}
        return _by_end(await _fetched(transaction, pattern + _NODES, parameters))

    found = await nodes(_TASK, 1)
    if not found:
        return None
    if len(found) < limit:
        found |= await nodes(_NEAR, limit - len(found))
    if len(found) < limit:
        # Those that are there already may come again, and may come first.
        further = await nodes(_FAR, limit)
        found |= dict([item for item in further.items() if item[0] not in found][: limit - len(found)])
    return GraphBatch(list(found.values()), await _edges(transaction, found, limit * MAX_EDGES_PER_NODE))


async def read_trail(transaction: AsyncManagedTransaction, tenant: str, claim_id: str, limit: int) -> GraphBatch | None:
    """As `GraphStore.trail`. Raises the driver's errors."""
    parameters = {"id": claim_id, "tenant": tenant, "limit": limit}
    found = _by_end(await _fetched(transaction, _CLAIM + _NODES, parameters))
    if not found:
        return None
    for pattern in _TRAIL:
        found |= _by_end(await _fetched(transaction, pattern + _NODES, parameters))
    return GraphBatch(list(found.values()), await _edges(transaction, found, len(found) * MAX_EDGES_PER_NODE))


async def _edges(transaction: AsyncManagedTransaction, nodes: Iterable[End], limit: int) -> list[Edge]:
    """The edges among these nodes. One query per label: an index serves one label. Two labels may know the same id,
    so a node is named by both."""
    known = set(nodes)
    ends = [f"{label} {id_}" for label, id_ in known]
    edges: list[Edge] = []
    for label in LABELS:
        starts = [id_ for its_label, id_ in known if its_label == label]
        if not starts or len(edges) >= limit:
            continue
        parameters = {"starts": starts, "ends": ends, "limit": limit - len(edges)}
        edges += [
            Edge(found["type"], (label, found["start"]), (found["label"], found["end"]), found["props"])
            for found in await _fetched(transaction, _EDGES.format(label=label), parameters)
        ]
    return edges


async def _fetched(transaction: AsyncManagedTransaction, text: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    result = await transaction.run(text, parameters)
    return [record.data() async for record in result]


def _by_end(records: Iterable[dict[str, Any]]) -> dict[End, Node]:
    """The nodes, in the records' order."""
    nodes: dict[End, Node] = {}
    for record in records:
        label, props = record["label"], record["props"]
        node_id = props.pop("id")
        nodes[label, node_id] = Node(label, node_id, props)
    return nodes
