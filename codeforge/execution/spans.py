"""What an attempt leaves in its task's trace, and how its log lines find the way there.

Names and attributes: OpenTelemetry's semantic conventions for generative AI agents
(https://github.com/open-telemetry/semantic-conventions-genai), and `codeforge.*` for what they do not name.
"""

from structlog.contextvars import bind_contextvars

from codeforge import tracing
from codeforge.ledger.port import ClaimedTask, Outcome
from codeforge.tracing import Kind, Span, Spans

MS = 1_000_000
"""Nanoseconds."""


def attempt_span(claimed: ClaimedTask) -> Spans:
    """Around an attempt. Each of a task's is a child of what submitted it, whichever process runs it, with the wait in
    the queue before it. What is logged inside carries the task's and the trace's id."""
    task = claimed.task
    own = {"task_id": task.id}
    if trace_id := tracing.trace_id_of(task.trace):
        own["trace_id"] = trace_id
    bind_contextvars(**own)  # the asyncio task is the attempt's, with whose context this ends
    if not tracing.tracing_is_on():
        return tracing.NO_SPAN
    about = {"codeforge.task.id": task.id, "codeforge.task.type": task.type.value}
    if task.queued_at is not None and task.started_at is not None and task.trace is not None:
        begun, ended = task.queued_at * MS, task.started_at * MS
        tracing.record(f"queue {task.type}", begun, ended, Kind.CONSUMER, about, parent=task.trace)
    agent = about | {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": task.type.value,
        "codeforge.task.attempt": task.attempts,
        "codeforge.task.fence": task.fence,
        "codeforge.worker": claimed.claim.worker,
    }
    return tracing.span(f"invoke_agent {task.type}", attributes=agent, parent=task.trace)


def tell_outcome(span: Span, outcome: Outcome | None) -> None:
    """How the attempt ended; None for one that is handed back."""
    span.set({"codeforge.outcome": "handed_back" if outcome is None else outcome.kind})
    if outcome is not None and outcome.error is not None:
        span.fail(outcome.error.code)


def tool_span(tool: str) -> Spans:
    """Around what an agent has done for it."""
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
    return tracing.span(f"execute_tool {tool}", attributes=attributes)
