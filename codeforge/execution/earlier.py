"""What a tenant's tasks found before: the vector store finds it, the ledger gives it."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from codeforge.agent import EarlierTask
from codeforge.errors import LedgerUnavailable, TaskError, TaskNotFound, VectorsUnavailable
from codeforge.ledger.port import Ledger
from codeforge.logs import logger
from codeforge.task import Task, TaskState

log = logger(__name__)

MAX_LOOKED_AT = 4
MAX_RESULT_BYTES = 4 * 1024 * 1024
"""Half of what a step may leave in the journal."""

READ_S = 1.0
"""How long the ledger may take to give all of them."""


class AnswerFinder(Protocol):
    """The part of `stores.ports.VectorStore` that finds results by what they answer."""

    async def answering(self, tenant: str, keys: Sequence[str], since: int, limit: int) -> list[str]:
        """See `VectorStore.answering`. Raises VectorsUnavailable within a second or so."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...


class StoredResults:
    """`codeforge.agent.EarlierResults` not older than `age_s` seconds. It owns the finder. `clock` tells the seconds
    since the epoch."""

    def __init__(
        self, finder: AnswerFinder, ledger: Ledger, age_s: float, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._finder = finder
        self._ledger = ledger
        self._age_ms = int(1_000 * age_s)
        self._clock = clock

    async def find(self, task: Task, keys: Sequence[str]) -> list[EarlierTask]:
        """See `AgentContext.earlier`. The store finds; whose a task is, its age and its outcome tells the ledger."""
        now_ms = int(1_000 * self._clock())
        try:
            found = await self._finder.answering(task.tenant, keys, now_ms - self._age_ms, MAX_LOOKED_AT)
            async with asyncio.timeout(READ_S):
                read = [await self._read(task, task_id, now_ms) for task_id in found if task_id != task.id]
        except (VectorsUnavailable, LedgerUnavailable) as error:
            raise _unavailable(task, error.message) from error
        except TimeoutError as error:
            raise _unavailable(task, f"the ledger did not give them within {READ_S:g} s") from error
        return [one for one in read if one is not None]

    async def close(self) -> None:
        """Closes the finder."""
        await self._finder.close()

    async def _read(self, task: Task, task_id: str, now_ms: int) -> EarlierTask | None:
        """None for a task that is gone, or is not what the store took it for."""
        try:
            found = await self._ledger.get(task.tenant, task_id)
        except TaskNotFound:
            return None
        if found.type is not task.type or found.state is not TaskState.SUCCEEDED or found.result is None:
            return None
        age_ms = max(0, now_ms - found.created_at)
        if age_ms > self._age_ms or len(found.result) > MAX_RESULT_BYTES:
            return None
        return EarlierTask(
            id=found.id,
            input=found.input.decode(),
            result=found.result.decode(),
            tokens=found.usage.input_tokens + found.usage.output_tokens,
            usd=found.usage.usd,
            created_at=found.created_at,
            age_s=age_ms / 1_000,
        )


def _unavailable(task: Task, why: str) -> TaskError:
    log.warning("reuse_unavailable", task_id=task.id, reason=why)
    return TaskError(f"earlier results were not looked at: {why}", code="reuse_unavailable", retryable=False)
