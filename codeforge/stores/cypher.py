"""The Cypher that writes: idempotent statements, grouped into transactions.

Labels and types cannot be parameters, so they are put into the text; they come from `graph_model` only, which
`graph_rows` has checked.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from codeforge.stores.graph_model import LABELS, EdgeType, Label
from codeforge.stores.graph_parts import PartRows
from codeforge.stores.graph_rows import EdgeRows, NodeRows, Row, VersionRows

STATEMENT_ROWS = 500
TRANSACTION_ROWS = 4_000
"""Enough for what a batch of the projector mostly comes to: a page that two transactions change is written twice."""

LEAST_ROWS = 250
"""Of a transaction while larger ones fail."""

Statement = tuple[str, Sequence[Row]]
"""Cypher text and its parameter `rows`."""

PING = "RETURN 1"

FENCED = " WITH n, row WHERE n.fence IS NULL OR row.props.fence IS NULL OR n.fence <= row.props.fence"


def constraint_statements() -> list[Statement]:
    """Uniqueness of `id`, per label. Neo4j 5 and ArcadeDB take the same words."""
    return [
        (f"CREATE CONSTRAINT {label.lower()}_id IF NOT EXISTS FOR (n:{label}) REQUIRE n.id IS UNIQUE", [])
        for label in LABELS
    ]


VERSIONS = (
    f"UNWIND $rows AS row MATCH (new:{Label.VERSION} {{id: row.end}}) "
    f"MATCH (:{Label.DOCUMENT} {{id: row.start}})-[:{EdgeType.HAS_VERSION}]->(old:{Label.VERSION}) "
    "WHERE old.seen_at < new.seen_at "
    "WITH new, old ORDER BY old.seen_at DESC WITH new, collect(old)[0] AS before "
    f"MERGE (new)-[:{EdgeType.FOLLOWS}]->(before)"
)
"""Of the texts that a page had before, the one that was seen last."""

Groups = Sequence[NodeRows | PartRows] | Sequence[EdgeRows | VersionRows]


def transactions_of(groups: Groups, most_rows: int = TRANSACTION_ROWS) -> Iterator[list[Statement]]:
    """Statements of at most STATEMENT_ROWS rows, in the groups' order, as transactions of at most `most_rows`."""
    transaction: list[Statement] = []
    size, step = 0, min(STATEMENT_ROWS, most_rows)
    for group in groups:
        for start in range(0, len(group.rows), step):
            rows = group.rows[start : start + step]
            if size + len(rows) > most_rows:
                yield transaction
                transaction, size = [], 0
            transaction.append(_statement(group, rows))
            size += len(rows)
    if transaction:
        yield transaction


def _statement(group: NodeRows | PartRows | EdgeRows | VersionRows, rows: Sequence[Row]) -> Statement:
    if isinstance(group, NodeRows):
        return _node_text(group), rows
    if isinstance(group, PartRows):
        return _part_text(group), [
            {"start": start, "parts": list(parts)} for start, parts in groupby(rows, key=itemgetter("start"))
        ]
    if isinstance(group, VersionRows):
        return VERSIONS, rows
    return _edge_text(group), rows


def _node_text(group: NodeRows) -> str:
    """`+=` leaves other properties as they are and removes those that are null. A Task that was written under a higher
    fence stays as it is: a writer that comes late must not overwrite a newer outcome."""
    fenced = FENCED if group.label == Label.TASK else ""
    return f"UNWIND $rows AS row MERGE (n:{group.label} {{id: row.id}}){fenced} SET n += row.props"


def _part_text(group: PartRows) -> str:
    """Each task is looked up once for all of its parts, which are merged like other nodes and edges."""
    return (
        f"UNWIND $rows AS row MATCH (a:{Label.TASK} {{id: row.start}}) UNWIND row.parts AS part "
        f"MERGE (b:{group.label} {{id: part.id}}) SET b += part.props "
        f"MERGE (a)-[r:{group.type}]->(b) SET r += part.edge"
    )


def _edge_text(group: EdgeRows) -> str:
    """A row whose ends are not both there matches nothing, and so writes nothing."""
    return (
        f"UNWIND $rows AS row MATCH (a:{group.start_label} {{id: row.start}}) "
        f"MATCH (b:{group.end_label} {{id: row.end}}) MERGE (a)-[r:{group.type}]->(b) SET r += row.props"
    )
