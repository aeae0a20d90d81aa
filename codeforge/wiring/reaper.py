"""The reaper's side of the ledger."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from codeforge.ledger.connection import connect
from codeforge.ledger.reaper import RedisReaperLedger
from codeforge.settings import Settings
from codeforge.wiring.ledger import BACKGROUND_CONNECTIONS, bells, caps, retention


@asynccontextmanager
async def reaper_ledger(settings: Settings) -> AsyncIterator[RedisReaperLedger]:
    """The reaper's side of the ledger, closed at the end."""
    redis = connect(settings.redis_address, max_connections=BACKGROUND_CONNECTIONS)
    try:
        yield RedisReaperLedger(
            redis,
            bells(),
            partitions=settings.outbox_partitions,
            lease_s=settings.lease_s,
            shortest_retention_s=retention(settings).shortest_s,
            caps=caps(settings),
        )
    finally:
        await redis.aclose(close_connection_pool=True)
