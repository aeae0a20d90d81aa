"""Writing to a graph server that is slow."""

from collections.abc import Sequence
from contextlib import aclosing

import pytest

from codeforge.errors import GraphUnavailable
from codeforge.stores.cypher import LEAST_ROWS, TRANSACTION_ROWS, Statement
from codeforge.stores.graph_model import Label
from codeforge.stores.neo4j import Neo4jStore
from codeforge.stores.ports import GraphBatch, Node

pytestmark = pytest.mark.anyio

PAGES = GraphBatch([Node(Label.DOCUMENT, f"d{n:05}", {"tenant": "acme"}) for n in range(2 * TRANSACTION_ROWS)], [])


class Slow(Neo4jStore):
    """Its server has no time for a transaction of more than `most` rows."""

    def __init__(self, most: int) -> None:
        super().__init__("bolt://127.0.0.1:1", "user", None)
        self.most = most
        self.tried: list[int] = []

    async def aclose(self) -> None:
        await self.close()

    async def _write_rows(self, statements: Sequence[Statement]) -> None:
        self.tried.append(sum(len(rows) for _, rows in statements))
        if self.tried[-1] > self.most:
            raise GraphUnavailable("it did not answer in time")


async def test_what_takes_too_long_is_written_in_smaller_transactions() -> None:
    async with aclosing(Slow(TRANSACTION_ROWS // 4)) as store:
        for _ in range(2):
            with pytest.raises(GraphUnavailable):
                await store.write(PAGES)
        await store.write(PAGES)
    assert store.tried == [TRANSACTION_ROWS, TRANSACTION_ROWS // 2, *[TRANSACTION_ROWS // 4] * 8]


async def test_transactions_are_never_tiny_and_large_again_once_the_server_is_quick() -> None:
    async with aclosing(Slow(0)) as store:
        for _ in range(10):
            with pytest.raises(GraphUnavailable):
                await store.write(PAGES)
        assert store.tried[-1] == LEAST_ROWS
        store.most = TRANSACTION_ROWS
        for _ in range(5):
            store.tried.clear()
            await store.write(PAGES)
    assert store.tried == [TRANSACTION_ROWS] * 2
