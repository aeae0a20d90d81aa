"""Running a suspect alone: an attempt in a process of its own, so that its crash harms and costs nobody else.

The parent holds the lease and the claim. The child claims again with the same claim id, which the ledger answers as the
first time, runs the attempt and hands in its outcome. The parent hands it in only when the child died without.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence

import orjson

from codeforge.errors import StaleClaim
from codeforge.execution.backoff import retry_delay_s
from codeforge.execution.control import AttemptControl, StopReason
from codeforge.execution.patience import patiently
from codeforge.ledger.port import ClaimedTask, Ledger, Outcome
from codeforge.logs import logger
from codeforge.task import Claim, TaskFailure
from codeforge.worker_types import WorkerType

log = logger(__name__)

AT_ONCE = 4
"""Suspects that one worker process runs at the same time; each costs a whole interpreter."""

OVERTIME_S = 5.0
"""How long after its `timeout_s` a child may take to end by itself."""

HAND_BACK_S = 5.0
"""How long a child may take to hand its task back when the worker drains."""


def claim_text(claim: Claim) -> bytes:
    """What the parent writes to the child's standard input, as one line."""
    parts = {"task_id": claim.task_id, "type": claim.type.value, "worker": claim.worker, "claim_id": claim.claim_id}
    return orjson.dumps(parts) + b"\n"


def claim_parts(line: bytes) -> tuple[str, WorkerType, str, str]:
    """(task id, type, worker, claim id) of `claim_text`. Raises ValueError."""
    parts = orjson.loads(line)
    return parts["task_id"], WorkerType(parts["type"]), parts["worker"], parts["claim_id"]


class SoloRunner:
    """Runs attempts in child processes, started by `command`."""

    def __init__(self, ledger: Ledger, command: Sequence[str]) -> None:
        self._ledger = ledger
        self._command = command
        self._slots = asyncio.Semaphore(AT_ONCE)

    @property
    def free(self) -> bool:
        """Whether a suspect that is claimed now would run at once."""
        return not self._slots.locked()

    async def run(self, claimed: ClaimedTask, control: AttemptControl) -> None:
        """Runs to an outcome, as `AttemptRunner.run` does. Raises LedgerUnavailable when it could not be handed in."""
        try:
            control.attach()
            async with self._slots:
                outcome = await self._in_child(claimed, control)
        except asyncio.CancelledError:
            outcome = _stopped(control)
        await self._hand_in(claimed, control, outcome)

    async def _in_child(self, claimed: ClaimedTask, control: AttemptControl) -> Outcome | None:
        log.info("suspect_runs_alone", task_id=claimed.task.id)
        child = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        try:
            assert child.stdin is not None
            # The pipe stays open: its end tells the child that the parent is gone.
            child.stdin.write(claim_text(claimed.claim))
            async with asyncio.timeout(claimed.task.timeout_s + OVERTIME_S):
                code = await child.wait()
        except TimeoutError:
            message = f"the task ran longer than its timeout_s of {claimed.task.timeout_s}, and had to be killed"
            return Outcome("failed", error=TaskFailure("timeout", message, False))
        except asyncio.CancelledError:
            if control.reason is StopReason.CANCELLED:
                raise
            await _asked_to_hand_back(child)
            raise
        finally:
            _kill_group(child)
            await child.wait()
        return None if code == 0 else _crashed(claimed, code)

    async def _hand_in(self, claimed: ClaimedTask, control: AttemptControl, outcome: Outcome | None) -> None:
        """A refusal means that the child had handed in before it ended, or that another attempt owns the task."""
        claim = claimed.claim
        with contextlib.suppress(StaleClaim):
            if outcome is not None:
                await patiently(lambda: self._ledger.finish(claim, outcome))
            elif control.stopping:
                await patiently(lambda: self._ledger.hand_back(claim))


def _stopped(control: AttemptControl) -> Outcome | None:
    if control.reason is StopReason.CANCELLED:
        return Outcome("cancelled", error=TaskFailure("cancelled", "cancelled by the client", False))
    return None


def _crashed(claimed: ClaimedTask, code: int) -> Outcome:
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    failure = TaskFailure("agent_crashed", f"the process that ran the task alone ended {how}", True)
    return Outcome("retry", error=failure, retry_delay_s=retry_delay_s(claimed.task.type, claimed.task.attempts, None))


async def _asked_to_hand_back(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HAND_BACK_S):
            await child.wait()


def _kill_group(child: asyncio.subprocess.Process) -> None:
    """The child and whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
