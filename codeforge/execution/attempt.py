"""One attempt at a task: run the agent within its time, and tell the ledger how it ended."""

import asyncio
import random

from pydantic import ValidationError

from codeforge.agent import Agent, ModelClient, PageFetcher, WebSearch
from codeforge.errors import CodeForgeError, LedgerUnavailable, ModelError, StaleClaim, TaskError
from codeforge.execution.context import LedgerContext
from codeforge.execution.control import AttemptControl, StopReason
from codeforge.inputs import INPUTS
from codeforge.ledger.port import ClaimedTask, Ledger, Outcome
from codeforge.logs import logger
from codeforge.task import TaskFailure

log = logger(__name__)

MAX_RESULT_BYTES = 32 * 1024 * 1024
MAX_MESSAGE = 2_000
RETRY_BASE_S = 2.0
RETRY_CAP_S = 300.0
LEDGER_PATIENCE_S = 60.0
"""How long a finished attempt tries to hand in its outcome; after that its lease is over anyway."""


def retry_delay_s(attempts: int, asked_s: float | None) -> float:
    """Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"); at least what
    the failing service asked for."""
    backoff = random.uniform(0, min(RETRY_CAP_S, RETRY_BASE_S * 2 ** (attempts - 1)))  # noqa: S311 - no secret
    return max(backoff, min(asked_s or 0.0, RETRY_CAP_S))


class AttemptRunner:
    """Runs attempts with the services that agents may use."""

    def __init__(self, ledger: Ledger, *, model: ModelClient | None, fetcher: PageFetcher, search: WebSearch) -> None:
        self._ledger = ledger
        self._model = model
        self._fetcher = fetcher
        self._search = search

    async def run(self, claimed: ClaimedTask, agent: Agent, control: AttemptControl) -> None:
        """Runs to an outcome that the ledger took, or that it refused because another attempt owns the task.

        Raises LedgerUnavailable when the outcome could not be handed in; the reaper then takes the task back.
        """
        try:
            outcome = await self._outcome(claimed, agent, control)
        except StaleClaim:
            log.warning("attempt_superseded", task_id=claimed.task.id, fence=claimed.claim.fence)
            return
        # Once there is an outcome, a late cancellation must not lose it.
        await asyncio.shield(asyncio.ensure_future(self._hand_in(claimed, outcome)))

    async def _outcome(self, claimed: ClaimedTask, agent: Agent, control: AttemptControl) -> Outcome | None:
        """None means: hand the task back."""
        task = claimed.task
        context = LedgerContext(
            claimed, self._ledger, control, model=self._model, fetcher=self._fetcher, search=self._search
        )
        limit = asyncio.timeout(task.timeout_s)
        try:
            async with limit:
                result = await agent.run(context, INPUTS[task.type].model_validate_json(task.input))
                text = result.model_dump_json().encode()
            if len(text) > MAX_RESULT_BYTES:
                raise TaskError(f"the result has more than {MAX_RESULT_BYTES} bytes", code="result_too_large")
            return Outcome("succeeded", result=text)
        except asyncio.CancelledError:
            if control.reason is StopReason.DRAIN:
                return None
            if control.reason is StopReason.CANCELLED:
                return Outcome("cancelled", error=TaskFailure("cancelled", "cancelled by the client", False))
            raise
        except StaleClaim:
            raise
        except Exception as error:
            if limit.expired() and isinstance(error, TimeoutError):
                message = f"the task ran longer than its timeout_s of {task.timeout_s}"
                return Outcome("failed", error=TaskFailure("timeout", message, False))
            return _failed(claimed, error)

    async def _hand_in(self, claimed: ClaimedTask, outcome: Outcome | None) -> None:
        """Tells the ledger, with patience: what was paid for must not be lost to a short outage."""
        deadline = asyncio.get_running_loop().time() + LEDGER_PATIENCE_S
        pause_s = 0.1
        while True:
            try:
                if outcome is None:
                    await self._ledger.hand_back(claimed.claim)
                else:
                    await self._ledger.finish(claimed.claim, outcome)
                return
            except StaleClaim:
                log.warning("outcome_refused", task_id=claimed.task.id, fence=claimed.claim.fence)
                return
            except LedgerUnavailable:
                if asyncio.get_running_loop().time() + pause_s > deadline:
                    raise
                await asyncio.sleep(random.uniform(pause_s / 2, pause_s))  # noqa: S311 - jitter
                pause_s = min(pause_s * 2, 5.0)


def _failed(claimed: ClaimedTask, error: Exception) -> Outcome:
    """What an exception means for the task. An unknown one is a bug of the agent: logged whole, shown by its name."""
    task = claimed.task
    if isinstance(error, ValidationError):
        failure = TaskFailure("invalid_input", "the task's input does not fit this version of the agent", False)
    elif isinstance(error, CodeForgeError):
        failure = TaskFailure(error.code, error.message[:MAX_MESSAGE], error.retryable)
    else:
        log.exception("agent_crashed", task_id=task.id, type=task.type.value, exc_info=error)
        failure = TaskFailure("agent_crashed", f"the agent raised {type(error).__name__}", True)
    if not failure.retryable:
        return Outcome("failed", error=failure)
    asked_s = error.retry_after_s if isinstance(error, ModelError) else None
    return Outcome("retry", error=failure, retry_delay_s=retry_delay_s(task.attempts, asked_s))
