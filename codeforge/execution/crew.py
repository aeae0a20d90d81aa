"""The attempts of a child process that runs suspects; see suspects.py for what its parent writes and reads."""

import asyncio
from collections.abc import Callable, Mapping

from codeforge.agent import Agent
from codeforge.execution.attempt import AttemptRunner
from codeforge.execution.control import AttemptControl, StopReason
from codeforge.execution.suspects import read_order
from codeforge.execution.watchdog import begin_attempt
from codeforge.ledger.keys import ALONE
from codeforge.ledger.lease import Lease
from codeforge.ledger.port import Ledger
from codeforge.logs import logger
from codeforge.task import Claim
from codeforge.worker_types import WorkerType

log = logger(__name__)


class Crew:
    """Runs what it is ordered to, side by side.

    `over` is told the id of each task whose attempt has ended. `in_company` is called when one comes aboard that shares
    the process: from then on, whoever keeps the others from working is to be found.
    """

    def __init__(
        self,
        ledger: Ledger,
        runner: AttemptRunner,
        agents: Mapping[WorkerType, Agent],
        lease: Lease,
        *,
        over: Callable[[str], None],
        in_company: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._runner = runner
        self._agents = agents
        self._lease = lease
        self._over = over
        self._in_company = in_company
        self._controls: dict[str, AttemptControl] = {}
        self._attempts: set[asyncio.Task[None]] = set()
        self._left = asyncio.Event()
        self._stopping = False
        self.claims: dict[str, Claim] = {}

    @property
    def busy(self) -> bool:
        """Whether an attempt is under way; may be asked from any thread."""
        return bool(self._controls)

    def obey(self, line: bytes) -> None:
        """An order of the parent's."""
        order = read_order(line)
        if isinstance(order, str):
            if control := self._controls.get(order):
                control.stop(StopReason.CANCELLED)
            return
        task_id, _, worker, claim_id = order
        control = self._controls[task_id] = AttemptControl(self._lease)
        if self._stopping:
            control.stop(StopReason.DRAIN)
        attempt = asyncio.create_task(self._attempt(task_id, worker, claim_id, control))
        self._attempts.add(attempt)
        attempt.add_done_callback(self._attempts.discard)

    async def _attempt(self, task_id: str, worker: str, claim_id: str, control: AttemptControl) -> None:
        begin_attempt(task_id)
        try:
            claimed = await self._ledger.claim(task_id, worker, claim_id)
            if claimed is not None:
                self.claims[task_id] = claimed.claim
                if claimed.task.crashes < ALONE:
                    self._in_company()
                await self._runner.run(claimed, self._agents[claimed.task.type], control)
        except Exception:
            log.exception("suspect_not_run", task_id=task_id)
        finally:
            del self._controls[task_id]
            self.claims.pop(task_id, None)
            self._over(task_id)
            if self._stopping and not self._controls:
                self._left.set()

    def drain(self) -> None:
        """Every attempt hands its task back at its next step boundary; `served` returns then."""
        self._stopping = True
        for control in list(self._controls.values()):
            control.stop(StopReason.DRAIN)
        if not self._controls:
            self._left.set()

    def dismiss(self) -> None:
        """The parent has no more orders."""
        self._left.set()

    async def served(self) -> None:
        """Returns when it may end: nothing is under way, and nothing will be."""
        await self._left.wait()
        if self._attempts:
            await asyncio.wait(self._attempts)
