"""One worker process: its lease, the attempts that it runs, cancellation and drain."""

import asyncio
import os
import secrets
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from codeforge.agent import Agent
from codeforge.background import keep_healthy
from codeforge.errors import LedgerUnavailable, StaleClaim
from codeforge.execution.attempt import AttemptRunner
from codeforge.execution.control import AttemptControl, StopReason
from codeforge.execution.memory import resident_bytes
from codeforge.execution.strays import StrayWatch
from codeforge.execution.suspects import SuspectRunner
from codeforge.execution.watchdog import LoopWatchdog, begin_attempt, rescue
from codeforge.ledger.heartbeat import LeaseKeeper
from codeforge.ledger.keys import SUSPECT
from codeforge.ledger.lease import Lease
from codeforge.ledger.port import ClaimedTask, Ledger, WorkerRecord
from codeforge.logs import logger
from codeforge.task import Claim, TaskState
from codeforge.worker_types import WorkerType

log = logger(__name__)

MEMORY_POLL_S = 2.0

CLEANUP_S = 3.0
"""How long after its drain a cut attempt may take to hand its task back."""

MAX_HEARD_EARLY = 1_000
"""Cancelled attempts that are remembered although the worker does not run them, or not yet."""


class WorkerRuntime:
    """What the broker's pool drives; see `codeforge.broker.runtime.TaskRuntime`.

    `keeper` makes the process's lease keeper; `close` closes the clients that were made for this runtime.
    `spare_ledger` makes a client for another event loop: with it, a loop that has not turned for `stuck_after_s`
    seconds is found, its tasks are saved, and the process exits. `on_death` asks the process to drain and end: its
    lease cannot be kept any more, or its memory passed `max_memory_mb`. See `StrayWatch` for `strays_every_s`. `host`
    is by default this machine's name, which on Kubernetes is the pod's.
    """

    def __init__(
        self,
        ledger: Ledger,
        runner: AttemptRunner,
        agents: Mapping[WorkerType, Agent],
        *,
        suspects: SuspectRunner,
        lease: Lease,
        keeper: Callable[..., LeaseKeeper],
        close: Callable[[], Awaitable[None]],
        on_death: Callable[[], None],
        health_file: Path | None = None,
        spare_ledger: Callable[[], Ledger] | None = None,
        stuck_after_s: float = 15.0,
        max_memory_mb: int | None = None,
        strays_every_s: float = 5.0,
        host: str | None = None,
    ) -> None:
        self._ledger = ledger
        self._runner = runner
        self._agents = agents
        self._suspects = suspects
        self._lease = lease
        self._make_keeper = keeper
        self._close = close
        self._on_death = on_death
        self._health_file = health_file
        self._spare_ledger = spare_ledger
        self._stuck_after_s = stuck_after_s
        self._max_memory_mb = max_memory_mb
        self._strays_every_s = strays_every_s
        self._host = host or socket.gethostname()
        self._watchdog: LoopWatchdog | None = None
        self._claims: dict[str, Claim] = {}
        self._running: dict[str, AttemptControl] = {}
        self._heard_early: deque[str] = deque(maxlen=MAX_HEARD_EARLY)
        self._attempts: set[asyncio.Future[None]] = set()
        self._background: list[asyncio.Task[None]] = []
        self._keeper: LeaseKeeper | None = None
        self._stopping = False
        self._drain_reason = StopReason.DRAIN
        self.worker_id = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"

    async def start(self, slots: int) -> None:
        """Takes the lease. Raises LedgerUnavailable."""
        record = WorkerRecord(self.worker_id, list(self._agents), slots, self._host)
        sent_at = self._lease.now()
        await self._ledger.renew_lease(record)
        self._lease.renewed(sent_at)
        loop = asyncio.get_running_loop()
        self._keeper = self._make_keeper(
            record,
            lease=self._lease,
            on_cancelled=lambda attempts: loop.call_soon_threadsafe(self._cancel, attempts),
            on_death=self._on_death,
        )
        self._keeper.start()
        if self._spare_ledger is not None:
            self._watchdog = LoopWatchdog(loop, self._stuck_after_s, self._rescue)
            self._watchdog.start()
        if self._max_memory_mb is not None:
            self._beside("memory_watch", self._watch_memory(self._max_memory_mb << 20))
        watch = StrayWatch(self._ledger, self.worker_id, lambda: self._claims, self._strays_every_s)
        self._beside("stray_watch", watch.run())
        if self._health_file is not None:
            self._beside("health_file", keep_healthy(self._health_file))
        log.info("worker_started", worker=self.worker_id, types=[kind.value for kind in self._agents], slots=slots)

    async def run(self, task_id: str) -> TaskState | None:
        """Looks at the task: claims and runs it if it is there to be run. Answers its state then, if that is known.
        The calling asyncio task is the attempt's, and is of no further use."""
        if self._stopping or not self._lease.holds:
            return None  # not claimed: the reaper rings again for it
        try:
            claimed = await self._ledger.claim(task_id, self.worker_id, secrets.token_hex(8), room=self._suspects.room)
        except (LedgerUnavailable, StaleClaim) as error:
            log.warning("claim_failed", task_id=task_id, error=error.code)
            return None
        if claimed is None:
            return await self._state(task_id)
        control = AttemptControl(self._lease)
        begin_attempt(task_id)
        over = asyncio.get_running_loop().create_future()
        self._running[task_id] = control
        self._claims[task_id] = claimed.claim
        self._attempts.add(over)
        if self._stopping:
            control.stop(self._drain_reason)
        if claimed.claim.attempt in self._heard_early:
            control.stop(StopReason.CANCELLED)
        try:
            return await self._attempt(claimed, control)
        except LedgerUnavailable:
            log.error("outcome_not_handed_in", task_id=task_id)
            return None
        finally:
            self._attempts.discard(over)
            over.set_result(None)
            if self._running.get(task_id) is control:
                del self._running[task_id]
                del self._claims[task_id]

    async def _attempt(self, claimed: ClaimedTask, control: AttemptControl) -> TaskState | None:
        if claimed.task.crashes < SUSPECT:
            return await self._runner.run(claimed, self._agents[claimed.task.type], control)
        await self._suspects.run(claimed, control)
        return await self._state(claimed.task.id)

    async def _state(self, task_id: str) -> TaskState | None:
        """What became of a task in other hands."""
        try:
            return await self._ledger.state_of(task_id)
        except LedgerUnavailable:
            return None

    async def _rescue(self, blocker: str | None) -> None:
        """The loop stands still. On another loop and another connection. Nobody can be blamed without a blocker; the
        lease then decides."""
        if self._spare_ledger is None or blocker is None:
            return
        ledger = self._spare_ledger()
        await rescue(ledger, list(self._claims.values()), blocker)
        await ledger.end_lease(self.worker_id)

    async def _watch_memory(self, most: int) -> None:
        """A process that has grown too large drains and ends, before the kernel ends it with all its tasks."""
        while (held := resident_bytes()) is not None:
            if held > most:
                log.warning("memory_limit_passed", resident_mb=held >> 20, limit_mb=most >> 20)
                self._drain_reason = StopReason.OVERGROWN
                self._on_death()
                return
            await asyncio.sleep(MEMORY_POLL_S)

    def _beside(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._background.append(task)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """A worker that lost a part of itself looks well and is not: it drains and ends."""
        if not task.cancelled() and (error := task.exception()):
            log.critical("task_died", task=task.get_name(), exc_info=error)
            self._on_death()

    def _cancel(self, attempts: Sequence[str]) -> None:
        """A task may run again since, whose attempt is another. A beat can also be faster than the answer to the claim,
        and the ledger tells of an attempt no more once it was heard: it is remembered."""
        wanted = set(attempts)
        for task_id, claim in list(self._claims.items()):
            if claim.attempt in wanted:
                wanted.discard(claim.attempt)
                self._running[task_id].stop(StopReason.CANCELLED)
        self._heard_early.extend(wanted.difference(self._heard_early))

    def stop_claiming(self) -> None:
        """From now on no task is claimed. Safe to call from any thread."""
        self._stopping = True

    async def drain(self, deadline_s: float) -> None:
        """Every attempt stops at its next step boundary and hands its task back; a step that is longer than
        `deadline_s` is cut."""
        self._stopping = True
        for control in list(self._running.values()):
            control.stop(self._drain_reason)
        if self._attempts:
            await asyncio.wait(self._attempts, timeout=deadline_s)
        for control in list(self._running.values()):
            control.cut()
        if self._attempts:
            _, pending = await asyncio.wait(self._attempts, timeout=CLEANUP_S)
            if pending:
                log.error("attempts_not_handed_back", count=len(pending))

    async def stop(self) -> None:
        """Ends the lease and closes the clients."""
        if self._watchdog is not None:
            self._watchdog.stop()
        for task in self._background:
            task.cancel()
        if self._keeper is not None:
            await asyncio.to_thread(self._keeper.stop)
        try:
            await self._ledger.end_lease(self.worker_id)
        except LedgerUnavailable:
            log.warning("lease_not_ended", worker=self.worker_id)
        await self._close()
