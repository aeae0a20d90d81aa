"""A graph server that does not answer in time, and a driver that takes that amiss."""

import asyncio

import pytest

from codeforge.errors import GraphUnavailable
from codeforge.stores.neo4j import Neo4jStore
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.anyio


class CancelledTwice(Neo4jStore):
    """Does what the driver does where it must not be interrupted (`neo4j._async_compat`): a cancellation that comes
    just then is not raised, but asked for again, at the next `await`."""

    async def _pinged(self) -> None:
        try:
            await asyncio.sleep(PATIENCE_S)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        await asyncio.sleep(0)


async def test_a_cancellation_that_comes_twice_is_still_a_timeout() -> None:
    store = CancelledTwice("bolt://127.0.0.1:1", "user", None, timeout_s=0.01)
    with pytest.raises(GraphUnavailable, match="did not answer"):
        await store.ping()
    await store.close()
