"""A worker from before a loss: it claimed tasks in a second that the ledger then lost, and goes on writing."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any, Self

from codeforge.errors import StaleClaim
from codeforge.ledger.connection import connect
from codeforge.ledger.port import Outcome, WorkerRecord
from codeforge.ledger.redis import RedisLedger
from codeforge.task import Claim, Progress, TaskFailure
from codeforge.wiring.ledger import bells
from codeforge.worker_types import WorkerType
from tests.faults.rig import Rig
from tests.servers.celery_worker import wait_until

NAME = "ghost:0:0"
PARTITIONS = 4
FAILURE = TaskFailure("ghost", "written by a worker from before the loss", False)


class Ghost:
    """Takes tasks that wait, beside the real workers. It speaks to the ledger as they do."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._runner = asyncio.Runner()
        self._claims: list[Claim] = []

    def __enter__(self) -> Self:
        address = self._rig.engines.settings["REDIS_URL"]
        self._ledger = RedisLedger(
            connect(address, max_connections=2), connect(address, max_connections=1), bells(),
            partitions=PARTITIONS, lease_s=60.0,
        )  # fmt: skip
        self._await(self._ledger.renew_lease(WorkerRecord(NAME, [WorkerType.DEBATE], 1)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._await(self._ledger.close())
        self._runner.close()

    def _await(self, work: Awaitable[Any]) -> Any:
        async def waited() -> Any:
            return await work

        return self._runner.run(waited())

    def claim(self, count: int) -> int:
        """Takes the tasks that have waited longest; answers how many it got."""
        for task_id in self._rig.redis.zrange("cf:queued:debate", 0, count - 1):
            claimed = self._await(self._ledger.claim(task_id, NAME, f"ghost {task_id}"))
            if claimed is not None:
                self._claims.append(claimed.claim)
        return len(self._claims)

    def haunt(self) -> int:
        """Once real workers have claimed the same tasks, tries every write on each. Answers how many of the tasks were
        given out under the very same fence. Raises AssertionError when a write is taken."""
        for claim in self._claims:
            wait_until(partial(self._taken, claim), f"another claim of {claim.task_id}", 90.0)
        same = sum(self._row(claim)[0] == str(claim.fence) for claim in self._claims)
        for claim in self._claims:
            for what, write in self._writes(claim).items():
                self._refused(claim, what, write)
        return same

    def _row(self, claim: Claim) -> tuple[str, str]:
        fence, claim_id = self._rig.redis.hmget(f"cf:task:{claim.task_id}", "fence", "claim")
        return fence, claim_id

    def _taken(self, claim: Claim) -> bool:
        fence, claim_id = self._row(claim)
        return int(fence) >= claim.fence and claim_id != claim.claim_id

    def _writes(self, claim: Claim) -> dict[str, Callable[[], Awaitable[Any]]]:
        ledger = self._ledger
        return {
            "begin_call": lambda: ledger.begin_call(claim, "ghost"),
            "record_step": lambda: ledger.record_step(claim, "ghost", b"1", None),
            "emit": lambda: ledger.emit(claim, "ghost", b"{}"),
            "progress": lambda: ledger.progress(claim, Progress(1, 1)),
            "suspect": lambda: ledger.suspect(claim),
            "hand_back": lambda: ledger.hand_back(claim),
            "finish": lambda: ledger.finish(claim, Outcome("failed", error=FAILURE)),
        }

    def _refused(self, claim: Claim, what: str, write: Callable[[], Awaitable[Any]]) -> None:
        try:
            self._await(write())
        except StaleClaim:
            return
        raise AssertionError(f"{what} under {claim} was taken; the ledger has {self._row(claim)}")
