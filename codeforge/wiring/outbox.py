"""The outbox as an operator sees it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from codeforge.ledger.connection import connect
from codeforge.ledger.outbox_keeper import RedisOutboxKeeper
from codeforge.settings import Settings

KEEPER_CONNECTIONS = 2


@asynccontextmanager
async def outbox_keeper(settings: Settings) -> AsyncIterator[RedisOutboxKeeper]:
    """The operator's side of the outbox, closed at the end."""
    redis = connect(settings.redis_address, max_connections=KEEPER_CONNECTIONS)
    try:
        yield RedisOutboxKeeper(redis, partitions=settings.outbox_partitions)
    finally:
        await redis.aclose(close_connection_pool=True)
