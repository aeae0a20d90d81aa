"""A graph store in memory, for unit tests. It passes the contract tests of the real one."""

from collections.abc import Iterable, Sequence
from typing import Any

from codeforge.errors import GraphUnavailable
from codeforge.stores.graph_model import MAX_EDGES_PER_NODE, EdgeType, Label
from codeforge.stores.graph_rows import edge_rows, node_rows, version_rows
from codeforge.stores.ports import Edge, GraphBatch, Node

End = tuple[str, str]
Props = dict[str, Any]


class MemoryGraphStore:
    """`down` makes every method raise GraphUnavailable, as an unreachable server would."""

    def __init__(self) -> None:
        self.nodes: dict[End, Props] = {}
        self.edges: dict[tuple[str, End, End], Props] = {}
        self.down = False

    async def prepare(self) -> None:
        """There is nothing to create."""
        self._check()

    async def write(self, batch: GraphBatch) -> None:
        """Raises RowRejected before anything is written."""
        self._check()
        nodes, edges = node_rows(batch.nodes), edge_rows(batch.edges)
        for nodes_of in nodes:
            for row in nodes_of.rows:
                node = self.nodes.setdefault((nodes_of.label, row["id"]), {})
                if nodes_of.label != Label.TASK or _may_follow(node, row["props"]):
                    _update(node, row["props"])
        for group in edges:
            for row in group.rows:
                start, end = (group.start_label, row["start"]), (group.end_label, row["end"])
                if start in self.nodes and end in self.nodes:
                    _update(self.edges.setdefault((group.type, start, end), {}), row["props"])
        for versions in version_rows(edges):
            for row in versions.rows:
                self._follow((Label.DOCUMENT.value, row["start"]), (Label.VERSION.value, row["end"]))

    async def neighbourhood(self, tenant: str, task_id: str, limit: int) -> GraphBatch | None:
        """As the port has it; one step further than the task's own neighbours, except through other tasks."""
        self._check()
        task: End = (Label.TASK.value, task_id)
        if self.nodes.get(task, {}).get("tenant") != tenant:
            return None
        near = self._of_tenant(tenant, {b if a == task else a for _, a, b in self.edges if task in (a, b)} - {task})
        hubs = {end for end in near if end[0] != Label.TASK and any((a, b) == (task, end) for _, a, b in self.edges)}
        far = self._of_tenant(tenant, {b for _, a, b in self.edges if a in hubs} - set(near) - {task})
        kept = dict.fromkeys([task, *near, *far][: max(limit, 1)])
        edges = [(key, props) for key, props in sorted(self.edges.items()) if key[1] in kept and key[2] in kept]
        return GraphBatch(
            nodes=[Node(*end, dict(self.nodes[end])) for end in kept],
            edges=[Edge(*key, dict(props)) for key, props in edges[: limit * MAX_EDGES_PER_NODE]],
        )

    async def trail(self, tenant: str, claim_id: str, limit: int) -> GraphBatch | None:
        """As the port has it."""
        self._check()
        claim: End = (Label.CLAIM.value, claim_id)
        if self.nodes.get(claim, {}).get("tenant") != tenant:
            return None
        cited = self._of_tenant(tenant, {b for kind, a, b in self.edges if (kind, a) == ("CITES", claim)})[:limit]
        documents = {a for kind, a, b in self.edges if kind == "HAS_CHUNK" and b in cited}
        makers = self._of_tenant(tenant, {a for kind, a, b in self.edges if (kind, b) == ("CLAIMED", claim)})[:limit]
        calls = self._of_tenant(tenant, {b for kind, a, b in self.edges if kind == "CALLED" and a in makers})[:limit]
        kept = dict.fromkeys([claim, *cited, *self._of_tenant(tenant, documents)[:limit], *makers, *calls])
        return GraphBatch(
            nodes=[Node(*end, dict(self.nodes[end])) for end in kept],
            edges=[
                Edge(*key, dict(props)) for key, props in sorted(self.edges.items()) if {key[1], key[2]} <= set(kept)
            ],
        )

    async def tasks(self, after: str, limit: int) -> Sequence[Node]:
        """As the port has it."""
        self._check()
        stored = sorted(end for end, props in self.nodes.items() if end[0] == Label.TASK and "tenant" in props)
        return [Node(*end, dict(self.nodes[end])) for end in stored if end[1] > after][:limit]

    async def ping(self) -> None:
        """Answers unless `down`."""
        self._check()

    async def close(self) -> None:
        """There is nothing to close."""

    def _follow(self, document: End, version: End) -> None:
        def seen_at(end: End) -> int:
            return int(self.nodes.get(end, {}).get("seen_at") or 0)

        versions = {b for kind, a, b in self.edges if (kind, a) == (EdgeType.HAS_VERSION, document)}
        if older := [end for end in versions if 0 < seen_at(end) < seen_at(version)]:
            self.edges.setdefault((EdgeType.FOLLOWS.value, version, max(older, key=seen_at)), {})

    def _check(self) -> None:
        if self.down:
            raise GraphUnavailable("the graph store cannot be reached")

    def _of_tenant(self, tenant: str, ends: Iterable[End]) -> list[End]:
        found = (end for end in ends if self.nodes[end].get("tenant") == tenant)
        return sorted(found)


def _may_follow(node: Props, changes: Props) -> bool:
    """Not with a lower fence than it was written under before."""
    before, now = node.get("fence"), changes.get("fence")
    return before is None or now is None or before <= now


def _update(props: Props, changes: Props) -> None:
    props.update(changes)
    for name in [name for name, value in props.items() if value is None]:
        del props[name]
