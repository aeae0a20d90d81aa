"""What analysis searches for, and what a search that fails means."""

import json
from collections.abc import Mapping

import pytest

from codeforge.agent import SearchReply
from codeforge.errors import SearchError, TaskError
from codeforge.inputs import AnalysisInput
from tests.unit.agent_context import FakeContext
from tests.unit.workers.test_analysis import (
    EVEREST,
    PAGES,
    QUESTION,
    SEA,
    A,
    B,
    C,
    answers,
    codes,
    found,
    given,
    run,
)


def test_planned_questions_are_searched_for_and_their_hits_read_after_the_given_urls() -> None:
    hits = found(**{QUESTION: [B, C], "boiling on mountains": ["HTTPS://B.example", A]})
    plan = json.dumps({"questions": ["boiling on mountains", QUESTION.upper(), " "]})
    ctx = FakeContext(answers=answers(SEA, plan=plan), pages=PAGES, hits=hits)

    result = run(ctx, given(A, search="auto"))

    assert sorted(ctx.searches) == [(QUESTION, "auto", 4), ("boiling on mountains", "auto", 4)]
    assert [source.url for source in result.sources] == [A, B]
    assert result.questions == [QUESTION, "boiling on mountains"]
    assert [failed.url for failed in result.failed] == [C]


def test_depth_asks_for_what_is_still_open_until_nothing_is() -> None:
    hits = found(**{QUESTION: [A], "water on Everest": [B, A]})
    asked = {
        "plan": json.dumps({"questions": []}),
        "gaps:2": json.dumps({"questions": ["water on Everest"]}),
        "gaps:3": json.dumps({"questions": []}),
    }
    ctx = FakeContext(answers=answers(SEA, EVEREST, **asked), pages=PAGES, hits=hits)

    result = run(ctx, AnalysisInput(question=QUESTION, depth=4))

    assert [source.url for source in result.sources] == [A, B]
    assert "Water boils at 100" in ctx.requests["gaps:2"].messages[-1].content
    assert "On Everest" in ctx.requests["gaps:3"].messages[-1].content
    assert result.questions == [QUESTION, "water on Everest"]
    assert [claim.supported for claim in result.claims] == [True, True]


def test_a_plan_that_is_none_leaves_the_question() -> None:
    no = dict.fromkeys(("plan", "plan.repair1", "plan.repair2"), "no")
    ctx = FakeContext(answers=answers(SEA, **no), pages=PAGES, hits=found(**{QUESTION: [A]}))
    result = run(ctx, AnalysisInput(question=QUESTION))
    assert "no_plan" in codes(result)
    assert [source.url for source in result.sources] == [A]


def test_one_search_of_several_that_fails_is_a_warning() -> None:
    down = SearchError("Tavily is down", code="search_unavailable", retryable=True)
    hits: Mapping[str, SearchReply | TaskError] = found(**{QUESTION: [A]}) | {"more": down}
    ctx = FakeContext(answers=answers(SEA, plan=json.dumps({"questions": ["more"]})), pages=PAGES, hits=hits)

    result = run(ctx, AnalysisInput(question=QUESTION))

    assert "search_unavailable" in codes(result)
    assert [source.url for source in result.sources] == [A]


def test_auto_search_without_a_provider_goes_on_with_the_urls() -> None:
    ctx = FakeContext(answers=answers(SEA, plan=json.dumps({"questions": []})), pages=PAGES)

    result = run(ctx, AnalysisInput(question=QUESTION, urls=[A]))

    assert codes(result) == ["search_not_configured", "words_only"]
    assert len(result.sources) == 1


@pytest.mark.parametrize("provider", ["tavily", "exa"])
def test_a_search_asked_for_by_name_must_be_there_before_anything_is_paid_for(provider: str) -> None:
    ctx = FakeContext(answers={"plan": json.dumps({"questions": ["more"]})}, pages=PAGES)
    with pytest.raises(TaskError) as caught:
        run(ctx, given(A, search=provider))
    assert caught.value.code == "search_not_configured"
    assert ctx.requests == {}


DOWN = TaskError("tavily is down", code="search_unavailable", retryable=True)


@pytest.mark.parametrize(("search", "url"), [("auto", C), ("tavily", A)])
def test_a_search_that_may_work_later_fails_the_attempt(search: str, url: str) -> None:
    plan = {"plan": json.dumps({"questions": []})}
    with pytest.raises(TaskError, match="down"):
        run(FakeContext(answers=plan, pages=PAGES, hits=DOWN), given(url, search=search))


def test_a_search_that_is_down_is_a_warning_where_there_is_something_to_read() -> None:
    ctx = FakeContext(answers=answers(SEA, plan=json.dumps({"questions": []})), pages=PAGES, hits=DOWN)
    result = run(ctx, given(A, search="auto"))
    assert "search_unavailable" in codes(result)
    assert [claim.supported for claim in result.claims] == [True]


def test_no_search_and_no_plan_is_made_when_none_is_wanted() -> None:
    ctx = FakeContext(answers=answers(SEA), pages=PAGES)
    run(ctx, given(A))
    assert ctx.searches == []
    assert set(ctx.requests) == {"report", "check"}
