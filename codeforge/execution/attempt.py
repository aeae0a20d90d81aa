"""One attempt at a task: run the agent within its time, and tell the ledger how it ended."""

import asyncio

from pydantic import ValidationError

from codeforge.agent import Agent, EarlierResults, ModelClient, PageFetcher, TextEmbedder, WebSearch
from codeforge.errors import CodeForgeError, LedgerFull, LedgerUnavailable, ModelError, StaleClaim, TaskError
from codeforge.execution.backoff import retry_delay_s
from codeforge.execution.context import LedgerContext
from codeforge.execution.control import AttemptControl, StopReason
from codeforge.execution.patience import despite_cancellation, patiently
from codeforge.execution.spans import attempt_span, tell_outcome
from codeforge.inputs import INPUTS, TaskInput
from codeforge.ledger.port import ClaimedTask, Ledger, Outcome
from codeforge.logs import logger
from codeforge.task import Task, TaskFailure, TaskState

log = logger(__name__)

MAX_RESULT_BYTES = 32 * 1024 * 1024
MAX_MESSAGE = 2_000


class AttemptRunner:
    """Runs attempts with the services that agents may use."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        model: ModelClient | None,
        fetcher: PageFetcher,
        search: WebSearch,
        embedder: TextEmbedder | None = None,
        earlier: EarlierResults | None = None,
    ) -> None:
        self._ledger = ledger
        self._model = model
        self._fetcher = fetcher
        self._search = search
        self._embedder = embedder
        self._earlier = earlier

    async def run(self, claimed: ClaimedTask, agent: Agent, control: AttemptControl) -> TaskState | None:
        """Runs to an outcome that the ledger took, or that it refused because another attempt owns the task: the
        task's state then, or None.

        Raises LedgerUnavailable when the outcome could not be handed in; the reaper then takes the task back. A
        cancellation that is not `control`'s hands the task back, and passes.
        """
        with attempt_span(claimed) as span:
            try:
                outcome = await self._outcome(claimed, agent, control)
            except StaleClaim as error:
                log.warning("attempt_superseded", task_id=claimed.task.id, fence=claimed.claim.fence)
                span.fail(error.code)
                return None
            except LedgerUnavailable as error:
                log.warning("attempt_given_up", task_id=claimed.task.id, code=error.code)
                span.fail(error.code)
                return await despite_cancellation(lambda: self._hand_in(claimed, None, crashed=False))
            tell_outcome(span, outcome)
            crashed = control.reason is StopReason.OVERGROWN
            state = await despite_cancellation(lambda: self._hand_in(claimed, outcome, crashed=crashed))
            if outcome is None and control.reason is None:
                raise asyncio.CancelledError
            return state

    async def _outcome(self, claimed: ClaimedTask, agent: Agent, control: AttemptControl) -> Outcome | None:
        """None means: hand the task back. So does LedgerUnavailable, which is no fault of the task; a ledger that is
        full may be, and a task that fills it must come to an end."""
        task = claimed.task
        context = LedgerContext(
            claimed,
            self._ledger,
            control,
            model=self._model,
            fetcher=self._fetcher,
            search=self._search,
            embedder=self._embedder,
            earlier=self._earlier,
        )
        limit = asyncio.timeout(task.timeout_s)
        try:
            control.attach()
            task_input = _input_of(task)
            async with limit:
                result = await agent.run(context, task_input)
            text = result.model_dump_json().encode()
            if len(text) > MAX_RESULT_BYTES:
                raise TaskError(f"the result has more than {MAX_RESULT_BYTES} bytes", code="result_too_large")
            return Outcome("succeeded", result=text, counts=result.counts())
        except asyncio.CancelledError:
            if control.reason is StopReason.CANCELLED:
                return Outcome("cancelled", error=TaskFailure("cancelled", "cancelled by the client", False))
            return None
        except StaleClaim:
            raise
        except Exception as error:
            if isinstance(error, LedgerUnavailable) and not isinstance(error, LedgerFull):
                raise
            if limit.expired() and isinstance(error, TimeoutError):
                message = f"the task ran longer than its timeout_s of {task.timeout_s}"
                return Outcome("failed", error=TaskFailure("timeout", message, False))
            return _failed(claimed, error)

    async def _hand_in(self, claimed: ClaimedTask, outcome: Outcome | None, *, crashed: bool) -> TaskState | None:
        claim = claimed.claim
        try:
            if outcome is None:
                await patiently(lambda: self._ledger.hand_back(claim, crashed=crashed))
                return TaskState.QUEUED
            return await patiently(lambda: self._ledger.finish(claim, outcome))
        except StaleClaim:
            log.warning("outcome_refused", task_id=claimed.task.id, fence=claim.fence)
            return None


def _input_of(task: Task) -> TaskInput:
    """The validated input. Raises TaskError when an older version took what this one does not."""
    try:
        return INPUTS[task.type].model_validate_json(task.input)
    except ValidationError as error:
        message = "the task's input does not fit this version of the agent"
        raise TaskError(message, code="invalid_input", retryable=False) from error


def _failed(claimed: ClaimedTask, error: Exception) -> Outcome:
    """What an exception means for the task. An unknown one is a bug of the agent: logged whole, shown by its name."""
    task = claimed.task
    if isinstance(error, CodeForgeError):
        failure = TaskFailure(error.code, error.message[:MAX_MESSAGE], error.retryable)
    else:
        log.exception("agent_crashed", task_id=task.id, type=task.type.value, exc_info=error)
        failure = TaskFailure("agent_crashed", f"the agent raised {type(error).__name__}", True)
    if not failure.retryable:
        return Outcome("failed", error=failure)
    asked_s = error.retry_after_s if isinstance(error, ModelError) else None
    return Outcome("retry", error=failure, retry_delay_s=retry_delay_s(task.type, task.attempts, asked_s))
