"""Rows of tasks' parts: each node with the edge from its task, so that neither end of the edge is looked up again.

With one statement for the nodes and one for the edges, ArcadeDB took a third longer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from codeforge.stores.graph_model import PART_EDGES, Label
from codeforge.stores.graph_rows import EdgeRows, NodeRows, Row


@dataclass(frozen=True, slots=True)
class PartRows:
    """Nodes of one label that are parts of tasks, and the edges of one type to them: rows of `start` (the task's id),
    `id`, `props` and `edge` (the edge's properties), sorted by the ids."""

    type: str
    label: str
    rows: Sequence[Row]


def parts_apart(
    nodes: Sequence[NodeRows], edges: Sequence[EdgeRows]
) -> tuple[list[NodeRows | PartRows], list[EdgeRows]]:
    """The same rows, in the order in which they are to be written: tasks, their parts, other nodes; and the edges that
    are left. A part whose task is not among the nodes stays a node by itself, and its edge an edge."""
    found = {group.label: {row["id"]: row for row in group.rows} for group in nodes}
    tasks = found.pop(Label.TASK.value, {})
    parts, left = list[PartRows](), list[EdgeRows]()
    for group in edges:
        ends = found.get(group.end_label, {})
        if group.type not in PART_EDGES or group.start_label != Label.TASK or not ends:
            left.append(group)
            continue
        mine, others = list[Row](), list[Row]()
        for row in group.rows:
            if row["start"] in tasks and row["end"] in ends:
                mine.append({"start": row["start"], **ends.pop(row["end"]), "edge": row["props"]})
            else:
                others.append(row)
        parts += [PartRows(group.type, group.end_label, mine)] if mine else []
        left += [replace(group, rows=others)] if others else []
    whole = [NodeRows(Label.TASK, list(tasks.values()))] if tasks else []
    rest = [NodeRows(label, list(rows.values())) for label, rows in found.items() if rows]
    return [*whole, *parts, *rest], left
