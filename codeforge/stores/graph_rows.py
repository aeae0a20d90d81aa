"""A graph batch as rows: checked, each node and edge once, in one order.

Every graph store checks here, so that all of them refuse the same rows: ArcadeDB takes some that Neo4j does not. The
order is what keeps concurrent writers from waiting for each other in circles.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from codeforge.errors import RowRejected
from codeforge.stores.graph_model import EDGE_TYPES, LABELS, EdgeType
from codeforge.stores.ports import Edge, Node, Scalar

MAX_ID_BYTES = 2_048
"""Far below the 8 kB that Neo4j's range index takes."""

_PROPERTY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_INT64 = range(-(1 << 63), 1 << 63)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class NodeRows:
    """Nodes of one label: rows of `id` and `props`, sorted by id."""

    label: str
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class EdgeRows:
    """Edges of one type between nodes of two labels: rows of `start`, `end` and `props`, sorted by the ids."""

    type: str
    start_label: str
    end_label: str
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class VersionRows:
    """Versions that are to follow the ones before them: rows of `start` (a Document's id) and `end` (the Version's)."""

    rows: Sequence[Row]


def node_rows(nodes: Sequence[Node]) -> list[NodeRows]:
    """One group per label, in the model's order. Of a node that is given twice, the later properties win, one by one;
    None stays, and means that the property is to be removed. Raises RowRejected."""
    groups: dict[str, dict[str, Row]] = {}
    for node in nodes:
        _check_end((node.label, node.id))
        name = f"{node.label} {node.id}"
        props = _checked_props(name, node.props, reserved="id")
        if props and not (isinstance(props.get("tenant"), str) and props["tenant"]):
            raise RowRejected(f"{name}: no tenant")
        groups.setdefault(node.label, {}).setdefault(node.id, {}).update(props)
    return [
        NodeRows(label, [{"id": id_, "props": props} for id_, props in sorted(groups[label].items())])
        for label in LABELS
        if label in groups
    ]


def edge_rows(edges: Sequence[Edge]) -> list[EdgeRows]:
    """One group per type and labels, in the model's order; properties as in `node_rows`. Raises RowRejected."""
    groups: dict[tuple[str, str, str], dict[tuple[str, str], Row]] = {}
    for edge in edges:
        if edge.type not in EDGE_TYPES:
            raise RowRejected(f"unknown relationship type {edge.type[:64]!r}")
        _check_end(edge.start)
        _check_end(edge.end)
        props = _checked_props(f"{edge.type} from {edge.start[1]} to {edge.end[1]}", edge.props)
        group = groups.setdefault((edge.type, edge.start[0], edge.end[0]), {})
        group.setdefault((edge.start[1], edge.end[1]), {}).update(props)
    order = sorted(groups, key=lambda key: (EDGE_TYPES.index(key[0]), LABELS.index(key[1]), LABELS.index(key[2])))
    return [
        EdgeRows(*key, [{"start": start, "end": end, "props": p} for (start, end), p in sorted(groups[key].items())])
        for key in order
    ]


def version_rows(edges: Sequence[EdgeRows]) -> list[VersionRows]:
    """One group with the rows of all HAS_VERSION edges, or none."""
    return [VersionRows(group.rows) for group in edges if group.type == EdgeType.HAS_VERSION]


def _check_end(end: tuple[str, str]) -> None:
    label, id_ = end
    if label not in LABELS:
        raise RowRejected(f"unknown label {label[:64]!r}")
    if not isinstance(id_, str) or not id_ or not _is_text(id_):
        raise RowRejected(f"{label}: the id is no text, or empty")
    if len(id_.encode()) > MAX_ID_BYTES:
        raise RowRejected(f"{label} {id_[:32]}...: the id is longer than {MAX_ID_BYTES} bytes")


def _checked_props(name: str, props: Mapping[str, Scalar], *, reserved: str | None = None) -> Row:
    checked: Row = {}
    for key, value in props.items():
        if key == reserved or not _is_name(key):
            raise RowRejected(f"{name}: {key[:64]!r} is no name for a property")
        if not _is_storable(value):
            raise RowRejected(f"{name}: a value that cannot be stored in {key}")
        # A list for a tuple: what the stores give back again.
        checked[key] = list(value) if isinstance(value, (list, tuple)) else value
    return checked


@lru_cache(maxsize=1_000)
def _is_name(key: str) -> bool:
    return _PROPERTY.fullmatch(key) is not None


def _is_storable(value: object) -> bool:
    if isinstance(value, str):
        return _is_text(value)
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return value in _INT64
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, (list, tuple)) and all(isinstance(item, str) and _is_text(item) for item in value)


def _is_text(text: str) -> bool:
    """Whether it can be sent: JSON may hold lone surrogates, UTF-8 may not."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
