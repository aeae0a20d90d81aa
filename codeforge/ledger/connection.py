"""Connections to Redis: bounded pools with deadlines, half-open detection and jittered retries."""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError

COMMAND_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 3.0


def connect(address: str, *, max_connections: int, timeout_s: float = COMMAND_TIMEOUT_S) -> Redis:
    """A client for `address`. A full pool makes callers wait (the plain pool raises); answers are bytes.

    A command is repeated at most twice after a lost connection: every script of ours may be (see port.py).
    """
    pool = BlockingConnectionPool.from_url(
        address,
        max_connections=max_connections,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_keepalive=True,
        health_check_interval=10,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=1.0), retries=2),
        retry_on_error=[ConnectionError, TimeoutError, BusyLoadingError],
    )
    return Redis.from_pool(pool)
