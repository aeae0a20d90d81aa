"""Analysis within a budget of tokens."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from codeforge.agent import ModelReply, ModelRequest, SearchHit, SearchReply
from codeforge.inputs import AnalysisInput
from codeforge.results import AnalysisResult
from codeforge.task import Task
from tests.unit.agent_context import FakeContext, page
from workers.analysis import AnalysisAgent
from workers.purse import BudgetSpent, Purse
from workers.rendering import EXTRACTS
from workers.research import BUDGET_LIMITED

QUESTION = "How tall are the towers of the city?"
URLS = [f"https://{n}.example/" for n in range(6)]
PAGES = {
    url: page(url, f"Tower number {n} is {100 + n} metres tall. " + f"The city has many towers, says guide {n}. " * 200)
    for n, url in enumerate(URLS)
}
BYTES_PER_TOKEN = 4


class Counting(FakeContext):
    """Counts tokens as a service does, at 4 bytes each, and answers as long as it may."""

    budget: int | None = None
    charged = 0

    @property
    def task(self) -> Task:
        return replace(super().task, budget_tokens=self.budget)

    async def _call(self, name: str, request: ModelRequest) -> ModelReply:
        reply = await super()._call(name, request)
        sent = sum(len(message.content) for message in request.messages) + len(json.dumps(request.json_schema))
        spent = {"input_tokens": sent // BYTES_PER_TOKEN, "output_tokens": request.max_tokens}
        self.charged += sum(spent.values())
        return reply.model_copy(update=spent)


def write(request: ModelRequest) -> str:
    """Cites the first source that it was shown, once."""
    shown = request.messages[-1].content.partition("Source [")[2]
    number, _, rest = shown.partition("]")
    quote = rest.partition("\n")[2].partition(". ")[0]
    statement = {"text": quote + ".", "begins_paragraph": True, "support": [{"source": int(number), "quote": quote}]}
    return json.dumps({"statements": [statement], "conflicts": []})


def run(budget: int | None, depth: int = 3, **fields: Any) -> tuple[AnalysisResult, Counting]:
    questions = json.dumps({"questions": ["more towers"]})
    ctx = Counting(
        answers={"plan": questions, "gaps:2": questions, "report": write, "check": json.dumps({"wrong": []})},
        pages=PAGES,
        hits=SearchReply(hits=[SearchHit(url=url) for url in URLS]),
        vectors=lambda text: [1.0],
    )
    ctx.budget = budget
    task_input = AnalysisInput.model_validate({"question": QUESTION, "depth": depth, **fields})
    return asyncio.run(AnalysisAgent().run(ctx, task_input)), ctx


@pytest.mark.parametrize("budget", [1, 200, 700, 1_000, 1_500, 2_500, 4_000, 8_000, 16_000, 60_000])
def test_no_budget_is_passed_and_every_one_gives_a_report(budget: int) -> None:
    result, ctx = run(budget)

    assert ctx.charged <= budget
    assert result.claims
    assert all(claim.supported for claim in result.claims)
    texts = {source.n: PAGES[source.url].markdown for source in result.sources}
    for claim in result.claims:
        assert all(texts[span.source][span.start : span.end] == span.quote for span in claim.spans)


def test_a_smaller_budget_gives_less_and_says_so() -> None:
    free, rich = run(None)
    whole, most = run(200_000)
    part, some = run(4_000)
    least, none = run(300)

    assert (free.report, list(rich.requests)) == (whole.report, ["plan", "gaps:2", "report", "check"])
    assert (list(most.requests), whole.warnings) == (list(rich.requests), [])
    assert list(some.requests)[-2:] == ["report", "check"]
    assert len(some.requests["report"].messages[-1].content) < len(most.requests["report"].messages[-1].content)
    assert [(one.code, one.message) for one in part.warnings] == [("budget_limited", BUDGET_LIMITED)]
    assert list(none.requests) == []
    assert least.report.startswith(EXTRACTS)
    assert [one.code for one in least.warnings] == ["budget_limited"]


def test_without_sources_and_without_tokens_there_is_an_empty_report() -> None:
    result, ctx = run(10, search="none")
    assert ctx.charged == 0
    assert (result.claims, {one.code for one in result.warnings}) == ([], {"no_sources", "budget_limited"})


def test_a_service_that_does_not_count_is_counted_for() -> None:
    async def calls() -> int:
        ctx = FakeContext(answers={f"s{n}": "word " * 100 for n in range(50)})
        silent = FakeContext._call

        async def uncounted(name: str, request: ModelRequest) -> ModelReply:
            reply = await silent(ctx, name, request)
            return reply.model_copy(update={"input_tokens": 0, "output_tokens": 0})

        ctx._call = uncounted  # type: ignore[method-assign]  # this one instance's
        purse = Purse(ctx, 2_000)
        for n in range(50):
            try:
                await purse.model(f"s{n}", ModelRequest(messages=[], max_tokens=200))
            except BudgetSpent:
                return n
        return 50

    assert 2 < asyncio.run(calls()) < 15
