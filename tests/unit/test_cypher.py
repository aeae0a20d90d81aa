"""How rows become statements and transactions."""

from codeforge.stores.cypher import STATEMENT_ROWS, TRANSACTION_ROWS, constraint_statements, transactions_of
from codeforge.stores.graph_model import LABELS
from codeforge.stores.graph_parts import parts_apart
from codeforge.stores.graph_rows import edge_rows, node_rows
from codeforge.stores.ports import Edge, Node


def nodes(label: str, count: int) -> list[Node]:
    return [Node(label, f"{index:05}", {"tenant": "acme"}) for index in reversed(range(count))]


def test_every_label_has_a_constraint() -> None:
    assert len({text for text, _ in constraint_statements()}) == len(LABELS)


def test_no_rows_make_no_transaction() -> None:
    assert list(transactions_of(node_rows([]))) == []


def test_statements_and_transactions_are_bounded_and_lose_nothing() -> None:
    given = nodes("Chunk", 4_700) + nodes("Task", 3) + nodes("Document", 510)
    transactions = list(transactions_of(node_rows(given)))
    sizes = [[len(rows) for _, rows in statements] for statements in transactions]
    assert sizes == [[3, 500, 10, *[500] * 6], [500, 500, 500, 200]]
    assert max(max(each) for each in sizes) <= STATEMENT_ROWS
    assert max(sum(each) for each in sizes) <= TRANSACTION_ROWS


def test_parts_are_written_under_their_task_and_cut_like_other_rows() -> None:
    calls = [Edge("CALLED", ("Task", "00000"), ("ModelCall", node.id)) for node in nodes("ModelCall", 503)]
    written, left = parts_apart(node_rows(nodes("Task", 2) + nodes("ModelCall", 503)), edge_rows(calls))
    ((tasks, first, second),) = transactions_of(written)
    assert (left, len(tasks[1])) == ([], 2)
    assert first[0] == second[0]
    assert [[(row["start"], len(row["parts"])) for row in rows] for _, rows in (first, second)] == [
        [("00000", 500)],
        [("00000", 3)],
    ]


def test_what_is_no_part_of_a_task_of_the_batch_stays_a_node_and_an_edge() -> None:
    given = node_rows([*nodes("Task", 1), *nodes("Claim", 3), *nodes("Document", 1)])
    edges = edge_rows(
        [
            Edge("CLAIMED", ("Task", "00000"), ("Claim", "00000")),
            Edge("CLAIMED", ("Task", "stored before"), ("Claim", "00001")),
            Edge("CLAIMED", ("Task", "00000"), ("Claim", "stored before")),
            Edge("FETCHED", ("Task", "00000"), ("Document", "00000")),
        ]
    )
    written, left = parts_apart(given, edges)
    assert [[row["id"] for row in group.rows] for group in written] == [
        ["00000"],
        ["00000"],
        ["00000"],
        ["00001", "00002"],
    ]
    assert [(group.type, [row["start"] for row in group.rows]) for group in left] == [
        ("FETCHED", ["00000"]),
        ("CLAIMED", ["00000", "stored before"]),
    ]


def test_rows_are_sorted_so_that_writers_lock_in_one_order() -> None:
    one, other = nodes("Task", 5) + nodes("Claim", 5), nodes("Claim", 5) + list(reversed(nodes("Task", 5)))
    assert list(transactions_of(node_rows(one))) == list(transactions_of(node_rows(other)))


def test_edges_are_grouped_by_type_and_labels() -> None:
    claim, chunk, document = ("Claim", "c"), ("Chunk", "k"), ("Document", "d")
    edges = [Edge("CITES", claim, document), Edge("CITES", claim, chunk), Edge("HAS_CHUNK", document, chunk)]
    ((first, second, third),) = transactions_of(edge_rows(edges))
    assert "(a:Document {id: row.start})" in first[0]
    assert ("(b:Document" in second[0], "(b:Chunk" in third[0]) == (True, True)
    assert all("MERGE (a)-[r:CITES]->(b)" in text for text, _ in (second, third))
