"""What an attempt leaves in its task's trace, and in the logs."""

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from codeforge.agent import AgentContext, ModelRequest
from codeforge.errors import FetchError, ModelError
from codeforge.results import ResultModel
from tests.unit.execution.bench import EMPTY, Bench, Model, Web
from tests.unit.traces import PARENT, SPAN_ID, TRACE_ID, sent, traced

pytestmark = pytest.mark.anyio

URL = "https://example.org/?key=hidden"


async def crash(ctx: AgentContext) -> ResultModel:
    raise KeyError("a bug")


async def read(ctx: AgentContext) -> ResultModel:
    await ctx.fetch(URL)
    await ctx.web_search("search", "hidden words", provider="auto", limit=1)
    return EMPTY


async def test_attempt_is_a_child_of_the_submission_with_its_wait_before_it() -> None:
    with traced() as collector:
        task = await Bench().attempt(read, trace=PARENT)
        spans = sent(collector)
    wait, attempt = spans["queue scrape"], spans["invoke_agent scrape"]
    assert {wait.trace_id, attempt.trace_id} == {TRACE_ID}
    assert wait.parent_id == attempt.parent_id == SPAN_ID
    assert (wait.begun_ns, wait.ended_ns) == ((task.queued_at or 0) * 10**6, (task.started_at or 0) * 10**6)
    assert attempt.attributes == {
        "codeforge.task.id": task.id, "codeforge.task.type": "scrape", "codeforge.task.attempt": 1,
        "codeforge.task.fence": 1, "codeforge.worker": "w", "codeforge.outcome": "succeeded",
        "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "scrape",
    }  # fmt: skip
    for tool in ("fetch", "web_search"):
        assert spans[f"execute_tool {tool}"].parent_id == attempt.span_id
        assert spans[f"execute_tool {tool}"].attributes["gen_ai.tool.name"] == tool
    assert not [body for body in collector.raw if b"hidden" in body]


async def test_failures_are_marked_with_their_codes() -> None:
    async def ask(ctx: AgentContext) -> ResultModel:
        await ctx.model("ask", ModelRequest(messages=[]))
        return EMPTY

    with traced() as collector:
        await Bench(model=Model(fails=[ModelError("hidden", code="model_refused")])).attempt(ask, trace=PARENT)
        attempt = sent(collector)["invoke_agent scrape"]
    assert (attempt.failed, attempt.attributes["error.type"]) == (True, "model_refused")
    assert attempt.attributes["codeforge.outcome"] == "failed"
    with traced() as collector:
        web = Web(fails=[FetchError("hidden", code="http_status", url=URL)])
        await Bench(web=web).attempt(read, trace=PARENT)
        fetch = sent(collector)["execute_tool fetch"]
    assert (fetch.failed, fetch.attributes["error.type"]) == (True, "http_status")
    assert not [body for body in collector.raw if b"hidden" in body]


@pytest.mark.parametrize("trace", [PARENT, None])
async def test_log_lines_carry_the_task_s_and_the_trace_s_id(trace: str | None) -> None:
    with capture_logs(processors=[merge_contextvars]) as logs:
        task = await Bench().attempt(crash, trace=trace)
    (line,) = logs
    assert (line["event"], line["task_id"]) == ("agent_crashed", task.id)
    assert line.get("trace_id") == (TRACE_ID if trace else None)
