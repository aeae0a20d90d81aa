"""How an attempt ends: what the ledger, and so the client, gets to see."""

import asyncio

import pytest
from structlog.testing import capture_logs

from codeforge.agent import AgentContext
from codeforge.errors import ModelError, TaskError
from codeforge.execution.backoff import retry_delay_s
from codeforge.execution.control import AttemptControl
from codeforge.results import FailedPage, Page, ResultModel, ScrapeResult
from codeforge.task import TaskFailure, TaskState
from codeforge.worker_types import SPECS, WorkerType
from tests.unit.execution.bench import EMPTY, Act, Bench, ScriptedAgent, held_lease

pytestmark = pytest.mark.anyio


async def succeed(ctx: AgentContext) -> ResultModel:
    return EMPTY


def failing(error: Exception) -> Act:
    async def fail(ctx: AgentContext) -> ResultModel:
        raise error

    return fail


async def forever(ctx: AgentContext) -> ResultModel:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


async def test_result_is_handed_in() -> None:
    task = await Bench().attempt(succeed)
    assert (task.state, task.error) == (TaskState.SUCCEEDED, None)
    assert ScrapeResult.model_validate_json(task.result or b"") == EMPTY


async def test_agent_gets_the_validated_input() -> None:
    bench, agent = Bench(), ScriptedAgent(succeed)
    await bench.runner.run(await bench.claim(), agent, AttemptControl(held_lease()))
    assert agent.inputs[0].urls == ["https://example.org/"]


async def test_error_that_no_retry_can_help_ends_failed() -> None:
    task = await Bench().attempt(failing(TaskError("no such thing", code="search_not_configured")))
    assert task.state is TaskState.FAILED
    assert task.error == TaskFailure("search_not_configured", "no such thing", False)


async def test_error_that_a_retry_can_help_waits_for_the_next_attempt() -> None:
    bench = Bench()
    task = await bench.attempt(failing(ModelError("busy", code="model_rate_limited", retryable=True, retry_after_s=40)))
    assert (task.state, task.attempts) == (TaskState.QUEUED, 1)
    assert task.error == TaskFailure("model_rate_limited", "busy", True)
    assert task.not_before is not None
    assert task.not_before - bench.ledger.now_ms() > 20_000


async def test_last_attempt_ends_dead() -> None:
    task = await Bench().attempt(failing(TaskError("busy", retryable=True)), max_attempts=1)
    assert (task.state, task.error) == (TaskState.DEAD, TaskFailure("task_failed", "busy", True))


async def test_long_message_is_cut() -> None:
    task = await Bench().attempt(failing(TaskError("x" * 10_000)))
    assert task.error is not None
    assert len(task.error.message) == 2_000


async def test_unknown_exception_is_logged_whole_and_shown_by_its_name() -> None:
    error = KeyError("a secret")
    with capture_logs() as logs:
        task = await Bench().attempt(failing(error))
    assert task.error == TaskFailure("agent_crashed", "the agent raised KeyError", True)
    assert [(entry["event"], entry["exc_info"]) for entry in logs] == [("agent_crashed", error)]


async def test_agent_s_own_validation_error_is_not_the_client_s() -> None:
    async def answer_nonsense(ctx: AgentContext) -> ResultModel:
        return Page.model_validate({"nonsense": 1})

    with capture_logs():
        task = await Bench().attempt(answer_nonsense)
    assert task.error == TaskFailure("agent_crashed", "the agent raised ValidationError", True)


async def test_input_that_an_older_version_took_ends_failed() -> None:
    agent, bench = ScriptedAgent(succeed), Bench()
    claimed = await bench.claim(input=b'{"urls":[],"gone":1}')
    await bench.runner.run(claimed, agent, AttemptControl(held_lease()))
    task = await bench.ledger.get("acme", claimed.task.id)
    assert (task.state, task.error and task.error.code) == (TaskState.FAILED, "invalid_input")
    assert agent.inputs == []


async def test_task_that_runs_too_long_ends_failed() -> None:
    task = await Bench().attempt(forever, timeout_s=0)
    assert task.state is TaskState.FAILED
    assert task.error == TaskFailure("timeout", "the task ran longer than its timeout_s of 0", False)


async def test_timeout_of_the_agent_s_own_is_a_crash() -> None:
    with capture_logs():
        task = await Bench().attempt(failing(TimeoutError()))
    assert task.error == TaskFailure("agent_crashed", "the agent raised TimeoutError", True)


async def test_result_over_the_limit_ends_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.execution.attempt.MAX_RESULT_BYTES", 100)

    async def much(ctx: AgentContext) -> ResultModel:
        return ScrapeResult(pages=[], failed=[FailedPage(url="u" * 100, code="c", message="m")])

    task = await Bench().attempt(much)
    assert (task.state, task.error and task.error.code) == (TaskState.FAILED, "result_too_large")
    assert task.result is None


@pytest.mark.parametrize("worker_type", WorkerType)
@pytest.mark.parametrize("attempts", [1, 5, 5_000])
def test_retries_wait_longer_each_time_up_to_the_type_s_limit(worker_type: WorkerType, attempts: int) -> None:
    spec = SPECS[worker_type]
    most = min(spec.retry_cap_s, spec.retry_base_s * 2.0 ** min(attempts - 1, 50))
    assert 0 <= retry_delay_s(worker_type, attempts, None) <= most
    assert retry_delay_s(worker_type, attempts, 1e9) == spec.retry_cap_s
