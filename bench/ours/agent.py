"""An agent that makes so many model calls, one after another, and reports what it was answered. None: an empty task."""

from codeforge.agent import AgentContext, Message, ModelRequest
from codeforge.inputs import AnalysisInput
from codeforge.results import AnalysisResult
from codeforge.worker_types import WorkerType


class CallsAgent:
    """Stands in for the analysis agent, whose number of calls depends on what it finds."""

    type = WorkerType.ANALYSIS

    def __init__(self, calls: int) -> None:
        self._calls = calls

    async def run(self, ctx: AgentContext, task_input: AnalysisInput) -> AnalysisResult:
        """The answers as a report."""
        answers = []
        for number in range(self._calls):
            messages = [Message(role="user", content=task_input.question)]
            answers.append((await ctx.model(f"call-{number}", ModelRequest(messages=messages))).text)
        return AnalysisResult(report="\n\n".join(answers), claims=[], sources=[])
