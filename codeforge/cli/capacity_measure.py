"""`codeforge capacity measure`: what a task costs Redis, on an embedded Valkey of its own."""

import asyncio
from typing import Any

from codeforge.capacity.measurement import Measurement
from codeforge.capacity.redis_load import RedisCosts
from codeforge.ledger.connection import connect
from codeforge.ledger.outbox import RedisOutbox
from codeforge.local.scratch import scratch_valkey
from codeforge.settings import load_settings
from codeforge.wiring.ledger import redis_ledger, retention

PROCESSES = 16
CONNECTIONS = 20


async def measured_costs(tasks: int) -> RedisCosts:
    """Starts the server, lets the tasks through, and stops it. Raises StackError, LedgerUnavailable."""
    async with scratch_valkey() as address:
        settings = load_settings({"redis_url": address, "lease_s": "300"})
        ledgers = [redis_ledger(settings, connections=1) for _ in range(PROCESSES)]
        redis: Any = connect(address, max_connections=CONNECTIONS)
        outbox = RedisOutbox(redis, redis, partitions=settings.outbox_partitions, retention=retention(settings))
        try:
            return await Measurement(redis, ledgers, outbox, tasks).costs()
        finally:
            await redis.aclose()
            await asyncio.gather(*(ledger.close() for ledger in ledgers))
