"""The graph store on Neo4j 5, or on what speaks its protocol and Cypher (ArcadeDB), through the official driver."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from neo4j import AsyncGraphDatabase, AsyncManagedTransaction, unit_of_work
from neo4j.exceptions import (
    ClientError,
    ConfigurationError,
    ConstraintError,
    DriverError,
    IncompleteCommit,
    Neo4jError,
    ServiceUnavailable,
    SessionExpired,
)
from pydantic import SecretStr

from codeforge.errors import CodeForgeError, GraphUnavailable, RowRejected, SettingsError
from codeforge.stores.cypher import (
    LEAST_ROWS,
    PING,
    TRANSACTION_ROWS,
    Statement,
    constraint_statements,
    transactions_of,
)
from codeforge.stores.graph_parts import parts_apart
from codeforge.stores.graph_reader import read_neighbourhood, read_tasks, read_trail
from codeforge.stores.graph_rows import EdgeRows, Row, VersionRows, edge_rows, node_rows, version_rows
from codeforge.stores.ports import GraphBatch, Node

_T = TypeVar("_T")
_Work = Callable[[AsyncManagedTransaction], Awaitable[_T]]

SCHEMES = frozenset(f"{name}{security}" for name in ("bolt", "neo4j") for security in ("", "+s", "+ssc"))
_ADDRESS = "CODEFORGE_NEO4J_URI: expected bolt://host:port or neo4j://host:port, without credentials"

POOL_SIZE = 16
ATTEMPTS = 8
BACKOFF_S = 0.02
MAX_BACKOFF_S = 0.5
IDLE_CHECK_S = 5.0
"""A connection that lay idle for longer is checked before its use."""

ROW_FAULTS = frozenset(
    {
        "Neo.ClientError.Statement.TypeError",
        "Neo.ClientError.Statement.ArgumentError",
        "Neo.ClientError.Schema.ConstraintValidationFailed",
    }
)
"""Codes that say what is wrong with the rows. A statement that the server does not understand is not among them:
rows must not be given up for that. https://neo4j.com/docs/status-codes/current/errors/all-errors/"""

RACES = frozenset({"Neo.ClientError.Schema.EquivalentSchemaRuleAlreadyExists"})
"""Codes of a creation that lost against another process's."""


class Neo4jStore:
    """Makes no connection before its first use. `timeout_s` bounds each transaction with all of its retries, in
    seconds; a large batch is several transactions, and all of it may be written again after a failure.

    Transient errors and lost connections are retried by the driver. It retries neither a commit whose outcome is
    unknown nor a MERGE that lost a race (ArcadeDB, where Neo4j locks): both are harmless here, where everything is
    a MERGE, and are retried some times at random intervals.
    """

    def __init__(
        self,
        uri: str,
        user: str,
        password: SecretStr | None,
        database: str | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        """Without a password no credentials are sent. Raises SettingsError for an address that is none."""
        _check_address(uri)
        self._database = database
        self._timeout_s = timeout_s
        self._edge_writer = asyncio.Lock()
        self._rows = TRANSACTION_ROWS
        try:
            self._driver = AsyncGraphDatabase.driver(
                uri,
                auth=(user, password.get_secret_value()) if password is not None else None,
                user_agent="codeforge",
                max_connection_pool_size=POOL_SIZE,
                connection_timeout=timeout_s,
                connection_acquisition_timeout=timeout_s,
                # The driver waits 1, 2, 4 s between attempts and stops after this; so its own error, which says more
                # than a timeout, mostly comes first.
                max_transaction_retry_time=timeout_s / 3,
                liveness_check_timeout=IDLE_CHECK_S,
                telemetry_disabled=True,
            )
        except (ConfigurationError, ValueError) as error:
            raise SettingsError(_ADDRESS) from error

    async def prepare(self) -> None:
        """One uniqueness constraint per label. Raises GraphUnavailable."""
        for statement in constraint_statements():
            await self._transact(_running([statement]))

    async def write(self, batch: GraphBatch) -> None:
        """Checks all rows, then writes nodes, those that are parts of a task with the edge to them, then the other
        edges, which only one writer of this store does at a time: two that touch the same nodes in different orders
        would deadlock. Edges whose ends are not both there are left out. Raises RowRejected and GraphUnavailable.

        After a failure the transactions are smaller, until one write succeeds: what takes a slow server longer than it
        may would fail again and again."""
        nodes, edges = parts_apart(node_rows(batch.nodes), edge_rows(batch.edges))
        groups: list[EdgeRows | VersionRows] = [*edges, *version_rows(edges)]
        try:
            for statements in transactions_of(nodes, self._rows):
                await self._write_rows(statements)
            if edges:
                await self._write_edges(list(transactions_of(groups, self._rows)))
        except GraphUnavailable:
            self._rows = max(LEAST_ROWS, self._rows // 2)
            raise
        self._rows = min(TRANSACTION_ROWS, 2 * self._rows)

    async def neighbourhood(self, tenant: str, task_id: str, limit: int) -> GraphBatch | None:
        """As the port has it, read in one transaction. Raises GraphUnavailable."""

        async def read(transaction: AsyncManagedTransaction) -> GraphBatch | None:
            return await read_neighbourhood(transaction, tenant, task_id, max(limit, 1))

        return await self._transact(read, reading=True)

    async def trail(self, tenant: str, claim_id: str, limit: int) -> GraphBatch | None:
        """As the port has it, read in one transaction. Raises GraphUnavailable."""

        async def read(transaction: AsyncManagedTransaction) -> GraphBatch | None:
            return await read_trail(transaction, tenant, claim_id, max(limit, 1))

        return await self._transact(read, reading=True)

    async def tasks(self, after: str, limit: int) -> Sequence[Node]:
        """As the port has it. Raises GraphUnavailable."""

        async def read(transaction: AsyncManagedTransaction) -> Sequence[Node]:
            return await read_tasks(transaction, after, limit)

        return await self._transact(read, reading=True)

    async def ping(self) -> None:
        """One query, which needs address, credentials and database to be right. Raises GraphUnavailable."""
        await self._bounded(self._pinged())

    async def close(self) -> None:
        """Closes all connections."""
        await self._driver.close()

    async def _write_edges(self, transactions: Sequence[Sequence[Statement]]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._edge_writer.acquire()
        except TimeoutError as error:
            raise GraphUnavailable("the graph store is busy with other writes") from error
        try:
            for statements in transactions:
                await self._write_rows(statements)
        finally:
            self._edge_writer.release()

    async def _write_rows(self, statements: Sequence[Statement]) -> None:
        """One transaction."""
        await self._transact(_running(statements))

    async def _transact(self, work: _Work[_T], *, reading: bool = False) -> _T:
        return await self._bounded(self._retried(unit_of_work(timeout=self._timeout_s)(work), reading=reading))

    async def _bounded(self, call: Coroutine[Any, Any, _T]) -> _T:
        """The call within the deadline, and its errors as this project's. It has a task of its own: at some places the
        driver answers a cancellation by cancelling its task once more, which would pass for the caller's own end."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.create_task(call)
        except TimeoutError as error:
            raise GraphUnavailable(f"the graph store did not answer within {self._timeout_s:g} s") from error
        except (Neo4jError, DriverError, OSError) as error:
            raise _translated(error) from error

    async def _retried(self, work: _Work[_T], *, reading: bool) -> _T:
        for attempt in range(ATTEMPTS):
            try:
                async with self._driver.session(database=self._database) as session:
                    return await (session.execute_read(work) if reading else session.execute_write(work))
            except (IncompleteCommit, ClientError) as error:
                if attempt == ATTEMPTS - 1 or not _is_harmless_to_repeat(error):
                    raise
            await asyncio.sleep(_backoff_s(attempt))
        raise AssertionError("the last attempt returns or raises")

    async def _pinged(self) -> None:
        """Twice if need be: the server may have closed the pool's connections since they were last used."""
        for last in (False, True):
            try:
                async with self._driver.session(database=self._database) as session:
                    await (await session.run(PING)).consume()
                return
            except (ServiceUnavailable, SessionExpired):
                if last:
                    raise


def _check_address(uri: str) -> None:
    """The driver looks at most of it only when it connects. Raises SettingsError."""
    try:
        address = urlsplit(uri)
        usable = address.scheme in SCHEMES and bool(address.hostname) and address.port != 0
    except ValueError as error:
        raise SettingsError(_ADDRESS) from error
    if not usable or address.username is not None:
        raise SettingsError(_ADDRESS)


class _Rows(list[Row]):
    """Rows that the driver need not spell out: it makes a text of all parameters for its debug log, kept or not, which
    took twice as long as to encode them."""

    def __repr__(self) -> str:
        return f"<{len(self)} rows>"


def _running(statements: Sequence[Statement]) -> _Work[None]:
    async def run(transaction: AsyncManagedTransaction) -> None:
        for text, rows in statements:
            await (await transaction.run(text, rows=_Rows(rows))).consume()

    return run


def _is_harmless_to_repeat(error: IncompleteCommit | ClientError) -> bool:
    return isinstance(error, IncompleteCommit | ConstraintError) or error.code in RACES


def _backoff_s(attempt: int) -> float:
    """Exponential with full jitter, in seconds."""
    return secrets.SystemRandom().uniform(0, min(MAX_BACKOFF_S, BACKOFF_S * 2**attempt))


def _translated(error: Exception) -> CodeForgeError:
    """Without the server's own words, which may quote a row."""
    code: Any = getattr(error, "code", None)
    if code in ROW_FAULTS:
        return RowRejected(f"the graph store refused the rows: {code}")
    if code is not None:
        return GraphUnavailable(f"the graph store failed: {code}")
    return GraphUnavailable("the graph store cannot be reached")
