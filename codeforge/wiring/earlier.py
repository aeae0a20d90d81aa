"""Earlier results, for workers whose agents look at them."""

import asyncio
from collections.abc import Sequence

from codeforge.execution.earlier import StoredResults
from codeforge.ledger.port import Ledger
from codeforge.settings import Settings
from codeforge.stores.ports import VectorStore
from codeforge.worker_types import WorkerType, served_types

FIND_S = 1.0
"""How long the vector store may take to answer."""


class FinderOnDemand:
    """The vector store, made when the first task asks it (`codeforge.execution.earlier.AnswerFinder`): its client takes
    57 MB and the better part of a second, which workers of other types need not spend."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: VectorStore | None = None
        self._making = asyncio.Lock()

    async def answering(self, tenant: str, keys: Sequence[str], since: int, limit: int) -> list[str]:
        """See `VectorStore.answering`."""
        async with self._making:
            if self._made is None:
                self._made = await asyncio.to_thread(_store, self._settings)
        return await self._made.answering(tenant, keys, since, limit)

    async def close(self) -> None:
        """Closes what was made."""
        if self._made is not None:
            await self._made.close()


def earlier_results(settings: Settings, ledger: Ledger) -> StoredResults | None:
    """None for a worker of other types, without a vector store, or where nothing is to be reused."""
    looks = WorkerType.ANALYSIS in served_types(settings.worker_type)
    if not (looks and settings.qdrant_configured and settings.reuse_age_s):
        return None
    return StoredResults(FinderOnDemand(settings), ledger, settings.reuse_age_s)


def _store(settings: Settings) -> VectorStore:
    from codeforge.wiring.vectors import vector_store

    return vector_store(settings, timeout_s=FIND_S)
