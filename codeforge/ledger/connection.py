"""Connections to Redis: bounded pools with deadlines, half-open detection and jittered retries.

A `sentinel://` address (codeforge/sentinel.py) gives the same clients; each new connection then asks the Sentinels
where the master is, and one that finds its server demoted is closed and asks again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import hiredis
import redis
import redis.sentinel
from redis.asyncio import BlockingConnectionPool, Redis, Sentinel
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError
from redis.retry import Retry as SyncRetry

from codeforge.sentinel import SentinelAddress, is_sentinel, parse_sentinel

COMMAND_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 3.0
SENTINEL_TIMEOUT_S = 1.0
"""A Sentinel that does not answer in this time is passed over for the next."""


class _Ending(Retry):
    """Repetitions that come to an end in time. The driver's may take several times as long as one try: each has its own
    timeout, and each that connects anew is repeated by itself."""

    def __init__(self, within_s: float | None) -> None:
        super().__init__(ExponentialWithJitterBackoff(base=0.05, cap=1.0), retries=2)
        self._within_s = within_s

    async def call_with_retry(self, do: Callable[[], Awaitable[Any]], *args: Any, **options: Any) -> Any:
        """See the driver. Raises TimeoutError."""
        async with asyncio.timeout(self._within_s):
            return await super().call_with_retry(do, *args, **options)


def connect(
    address: str, *, max_connections: int, timeout_s: float = COMMAND_TIMEOUT_S, within_s: float | None = None
) -> Redis:
    """A client for `address`. A full pool makes callers wait (the plain pool raises); answers are bytes.

    A command is repeated at most twice after a lost connection: every script of ours may be (see port.py). All its
    tries together take `within_s` seconds at most, and so does the making of a connection.
    """
    options: dict[str, Any] = {
        "max_connections": max_connections,
        "timeout": timeout_s,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": min(CONNECT_TIMEOUT_S, timeout_s),
        "socket_keepalive": True,
        "health_check_interval": 10,
        "retry": _Ending(within_s),
        "retry_on_error": [ConnectionError, TimeoutError, BusyLoadingError],
    }
    return Redis.from_pool(_pool(address, options))


def connect_once(address: str, timeout_s: float) -> Redis:
    """A client of one connection, for a question or two: it repeats nothing. Raises ValueError for a wrong address."""
    options: dict[str, Any] = {
        "max_connections": 1,
        "timeout": timeout_s,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
    }
    return Redis.from_pool(_pool(address, options))


def connect_sync(address: str, *, timeout_s: float) -> redis.Redis:
    """A client of one connection for a thread of its own. It repeats nothing: its caller beats again."""
    options: dict[str, Any] = {
        "max_connections": 1,
        "timeout": timeout_s,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": min(CONNECT_TIMEOUT_S, timeout_s),
        "socket_keepalive": True,
        "retry": SyncRetry(NoBackoff(), 0),
    }
    if not is_sentinel(address):
        return redis.Redis.from_pool(redis.BlockingConnectionPool.from_url(address, **options))
    where = parse_sentinel(address)
    limit_s = min(SENTINEL_TIMEOUT_S, timeout_s / len(where.hosts))
    sentinel_options = _sentinel_options(where, limit_s) | {"retry": SyncRetry(NoBackoff(), 0)}
    manager = _SyncSentinels(where.hosts, sentinel_kwargs=sentinel_options)  # type: ignore[no-untyped-call]  # the driver has no types here
    pool = _SyncMasterPool(where.master_name, manager, ssl=where.tls, **_data_server(where), **options)  # type: ignore[no-untyped-call]  # the driver has no types here
    return redis.Redis.from_pool(pool)


def _pool(address: str, options: dict[str, Any]) -> BlockingConnectionPool:
    pool = _plain_pool(address, options)
    pool.connection_class = _packing(pool.connection_class)
    return pool


def _packing(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """The same with commands written by hiredis, as in the driver's clients for threads. Its asyncio clients copy what
    they have of a command for each further argument, and a run of a script has a hundred."""

    def pack_command(_: AbstractConnection, name: str | bytes, *args: Any) -> list[bytes]:
        return [hiredis.pack_command((*name.split(), *args))]

    return type(kind.__name__, (kind,), {"pack_command": pack_command})


def _plain_pool(address: str, options: dict[str, Any]) -> BlockingConnectionPool:
    if not is_sentinel(address):
        return BlockingConnectionPool.from_url(address, **options)
    where = parse_sentinel(address)
    limit_s = min(SENTINEL_TIMEOUT_S, options["timeout"] / len(where.hosts))
    sentinel_options = _sentinel_options(where, limit_s) | {"retry": Retry(NoBackoff(), 0)}
    manager = _Sentinels(where.hosts, sentinel_kwargs=sentinel_options)  # type: ignore[no-untyped-call]  # the driver has no types here
    kind = _SecureMasterConnection if where.tls else _MasterConnection
    return _MasterPool(where.master_name, manager, connection_class=kind, **_data_server(where), **options)  # type: ignore[no-untyped-call]  # the driver has no types here


def _sentinel_options(where: SentinelAddress, timeout_s: float) -> dict[str, Any]:
    timeouts = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
    return {**timeouts, **where.sentinel_login, "ssl": where.tls, **where.tls_options}


def _data_server(where: SentinelAddress) -> dict[str, Any]:
    return {"db": where.db, "username": where.username, "password": where.password, **where.tls_options}


class _Settled:
    """A master that is being replaced is none: while a failover ends, a Sentinel still lists the former one, which may
    be back on its port and takes writes that its demotion will throw away."""

    def check_master_state(self, state: dict[str, Any], service_name: str) -> bool:
        """See the driver."""
        usable: bool = super().check_master_state(state, service_name)  # type: ignore[misc]  # of the driver's class
        return usable and "failover_in_progress" not in state["flags"]


class _SyncSentinels(_Settled, redis.sentinel.Sentinel):
    """For threads."""


class _Sentinels(_Settled, Sentinel):
    """Asks once for all who wait: after a failover every connection of a pool wants to know at the same time."""

    _asking: asyncio.Task[tuple[str, int]] | None = None

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """The master's host and port. Raises the driver's MasterNotFoundError, a ConnectionError."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(super().discover_master(service_name))
        return await asyncio.shield(self._asking)


class _MasterConnection(SentinelManagedConnection):
    """Asks the Sentinels also when the driver repeats a command on a connection that broke. The driver itself goes back
    to the address of before, and finds a former master that was restarted, does not know yet that it was replaced, and
    takes writes that its demotion will throw away (redis-py issue 3874)."""

    async def send_packed_command(
        self,
        command: bytes | str | Iterable[bytes],
        check_health: bool = True,
    ) -> None:
        """See the driver."""
        if not self.is_connected:
            await self.connect()  # type: ignore[no-untyped-call]  # the driver has no types here
        await super().send_packed_command(command, check_health)


class _SecureMasterConnection(_MasterConnection, SentinelManagedSSLConnection):
    """The same over TLS."""


class _MasterPool(SentinelConnectionPool, BlockingConnectionPool):
    """The driver's pool of connections to a master, with callers that wait when it is full."""

    sentinel_manager: _Sentinels

    async def aclose(self) -> None:
        """Closes the connections to the Sentinels too."""
        await super().aclose()
        await self.sentinel_manager.aclose()


class _SyncMasterPool(redis.sentinel.SentinelConnectionPool, redis.BlockingConnectionPool):
    """The same for threads."""

    sentinel_manager: redis.sentinel.Sentinel

    def close(self) -> None:
        """Closes the connections to the Sentinels too."""
        super().close()
        for sentinel in self.sentinel_manager.sentinels:
            sentinel.close()
