"""Running suspects: attempts in child processes of a worker, so that their crashes harm few and are theirs.

The parent holds the lease and the claims. It writes to a child which tasks to run, one JSON object a line, and the
child answers with the id of each whose attempt is over. The child claims again with the same claim id, which the ledger
answers as the first time, runs the attempt and hands in its outcome (crew.py). The parent speaks to the ledger only for
those with which a child died.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import orjson

from codeforge.errors import StaleClaim
from codeforge.execution.backoff import retry_delay_s
from codeforge.execution.control import AttemptControl, StopReason
from codeforge.execution.patience import patiently
from codeforge.ledger.keys import ALONE, COMPANY
from codeforge.ledger.port import ClaimedTask, Ledger, Outcome
from codeforge.logs import logger
from codeforge.task import Claim, TaskFailure
from codeforge.worker_types import WorkerType

log = logger(__name__)

AT_ONCE = 4
"""Child processes of one worker at the same time; each costs a whole interpreter."""

OVERTIME_S = 5.0
"""How long after its `timeout_s` an attempt may take to end by itself."""

CANCEL_S = 1.0
"""How long a child may take to stop an attempt that the client cancelled."""

HAND_BACK_S = 5.0
"""How long a child may take to hand its tasks back when the worker drains."""

END_S = 10.0
"""How long a child may take to end once it has no more to do."""


def run_order(claim: Claim) -> bytes:
    """The line that has a child run a task."""
    parts = {"task_id": claim.task_id, "type": claim.type.value, "worker": claim.worker, "claim_id": claim.claim_id}
    return orjson.dumps({"run": parts}) + b"\n"


def stop_order(task_id: str) -> bytes:
    """The line that has a child stop one, because the client cancelled it."""
    return orjson.dumps({"stop": task_id}) + b"\n"


def read_order(line: bytes) -> str | tuple[str, WorkerType, str, str]:
    """The task id to stop, or (task id, type, worker, claim id) to run. Raises ValueError."""
    order = orjson.loads(line)
    if "stop" in order:
        return str(order["stop"])
    parts = order["run"]
    return parts["task_id"], WorkerType(parts["type"]), parts["worker"], parts["claim_id"]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child was done with an attempt. `code` is its exit code when it died with the attempt and `aboard - 1`
    others in it; 0 when it handed in, or handed back. `overtime`: it hung for too long with this one alone, or never
    came to run it."""

    code: int = 0
    aboard: int = 1
    overtime: bool = False


class SuspectRunner:
    """Runs attempts in child processes, started by `command`: each among as many others as its crashes allow."""

    def __init__(self, ledger: Ledger, command: Sequence[str]) -> None:
        self._ledger = ledger
        self._command = command
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._groups: dict[int, Group] = {}

    @property
    def room(self) -> Collection[int]:
        """For suspects of how many crashes there is a place now."""
        if not self._slots.locked():
            return COMPANY
        return [crashes for crashes in COMPANY if crashes in self._groups and self._groups[crashes].takes_more]

    async def run(self, claimed: ClaimedTask, control: AttemptControl) -> None:
        """Runs to an outcome, as `AttemptRunner.run` does. Raises LedgerUnavailable when it could not be handed in."""
        ending = Ending()
        with contextlib.suppress(asyncio.CancelledError):  # that is how `control` stops it
            control.attach()
            ending = await self._group(min(claimed.task.crashes, ALONE)).run(claimed, control)
        await self._hand_in(claimed, control, ending)

    def _group(self, crashes: int) -> "Group":
        group = self._groups.get(crashes)
        if group is None or not group.takes_more:
            group = self._groups[crashes] = Group(self._command, self._slots, COMPANY[crashes])
        return group

    async def _hand_in(self, claimed: ClaimedTask, control: AttemptControl, ending: Ending) -> None:
        """A refusal means that the child had handed in before it ended, or that another attempt owns the task."""
        claim = claimed.claim
        with contextlib.suppress(StaleClaim):
            if outcome := _outcome(claimed, control, ending):
                await patiently(lambda: self._ledger.finish(claim, outcome))
            elif control.stopping:
                await patiently(lambda: self._ledger.hand_back(claim))
            elif ending.code:
                await patiently(lambda: self._ledger.hand_back(claim, crashed=True))


class Group:
    """One child process, for at most `most` attempts in its life. It starts when one of `slots` is free."""

    def __init__(self, command: Sequence[str], slots: asyncio.Semaphore, most: int) -> None:
        self._command = command
        self._slots = slots
        self._most = most
        self._taken = 0
        self._members: dict[str, tuple[Claim, asyncio.Future[Ending]]] = {}
        self._child: asyncio.subprocess.Process | None = None
        self._over = False
        self._life = asyncio.create_task(self._live())
        self._life.add_done_callback(self._ended)

    @property
    def takes_more(self) -> bool:
        """Whether another may come aboard."""
        return not self._over and self._taken < self._most

    async def run(self, claimed: ClaimedTask, control: AttemptControl) -> Ending:
        """Until the child is done with the attempt. Raises CancelledError when that stopped it."""
        ended = self._join(claimed.claim)
        task_id = claimed.task.id
        try:
            async with asyncio.timeout(claimed.task.timeout_s + OVERTIME_S):
                return await asyncio.shield(ended)
        except TimeoutError:
            if self._child is None:  # all its time went by without a free place
                return Ending(overtime=True)
            alone = len(self._members) == 1
            self._kill()
            ending = await ended
            return Ending(overtime=True) if alone else ending
        except asyncio.CancelledError:
            await self._stop(task_id, ended, control.reason)
            raise
        finally:
            self._leave(task_id)

    def _join(self, claim: Claim) -> "asyncio.Future[Ending]":
        self._taken += 1
        log.info("suspect_runs_aside", task_id=claim.task_id, most=self._most)
        ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._members[claim.task_id] = claim, ended
        self._write(run_order(claim))
        return ended

    def _leave(self, task_id: str) -> None:
        self._members.pop(task_id, None)
        self._over = self._over or not self._members
        if self._over and not self._members and self._child is not None and self._child.stdin is not None:
            self._child.stdin.close()  # its end tells the child to end
            asyncio.get_running_loop().call_later(END_S, self._kill)

    async def _stop(self, task_id: str, ended: "asyncio.Future[Ending]", reason: StopReason | None) -> None:
        if self._child is None:
            return
        if reason is StopReason.CANCELLED:
            self._write(stop_order(task_id))
        else:
            self._over = True
            with contextlib.suppress(ProcessLookupError):
                self._child.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CANCEL_S if reason is StopReason.CANCELLED else HAND_BACK_S):
                await asyncio.shield(ended)
        if not ended.done() and (len(self._members) == 1 or reason is not StopReason.CANCELLED):
            self._kill()

    def _write(self, order: bytes) -> None:
        if self._child is not None and self._child.stdin is not None:
            self._child.stdin.write(order)

    def _kill(self) -> None:
        """The child and whatever it started."""
        if self._child is not None and self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)

    async def _live(self) -> None:
        async with self._slots:
            if not self._members:
                return
            self._child = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True
            )
            try:
                if self._members:  # they may all have left meanwhile
                    for claim, _ in self._members.values():
                        self._write(run_order(claim))
                    await self._listen(self._child)
            finally:
                self._kill()
                self._bury(await _reaped(self._child))

    async def _listen(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None
        while line := await child.stdout.readline():
            member = self._members.get(line.decode().strip())
            if member is not None and not member[1].done():
                member[1].set_result(Ending())

    def _bury(self, code: int) -> None:
        self._over = True
        left = [(claim, ended) for claim, ended in self._members.values() if not ended.done()]
        if left and code:
            log.warning("suspects_died", task_ids=[claim.task_id for claim, _ in left], code=code)
        for _, ended in left:
            ended.set_result(Ending(code, len(left)))

    def _ended(self, life: "asyncio.Task[None]") -> None:
        """A child that could not even be started is one that died with all of them."""
        if life.cancelled() or life.exception() is not None:
            log.error("suspects_not_run", exc_info=None if life.cancelled() else life.exception())
            self._bury(1)


async def _reaped(child: asyncio.subprocess.Process) -> int:
    """The exit code of a child that ended or was killed. Waits for it when it is cancelled too, for its end is near: a
    loop that closes before is never told of it."""
    while True:
        try:
            return await child.wait()
        except asyncio.CancelledError:
            continue


def _outcome(claimed: ClaimedTask, control: AttemptControl, ending: Ending) -> Outcome | None:
    """None for one that was handed in, or goes back to the queue."""
    task = claimed.task
    if control.reason is StopReason.CANCELLED:
        return Outcome("cancelled", error=TaskFailure("cancelled", "cancelled by the client", False))
    if control.stopping:
        return None
    if ending.overtime:
        message = f"the task ran longer than its timeout_s of {task.timeout_s}, and was given up"
        return Outcome("failed", error=TaskFailure("timeout", message, False))
    if ending.code == 0 or ending.aboard > 1:
        return None
    how = f"by signal {-ending.code}" if ending.code < 0 else f"with exit code {ending.code}"
    failure = TaskFailure("agent_crashed", f"the process that ran the task alone ended {how}", True)
    return Outcome("retry", error=failure, retry_delay_s=retry_delay_s(task.type, task.attempts, None))
