"""An analysis that was done before."""

import asyncio
import json
from typing import Any

import pytest

from codeforge.agent import EarlierTask, SearchHit, SearchReply
from codeforge.equivalence import key_of
from codeforge.errors import TaskError
from codeforge.inputs import AnalysisInput
from codeforge.results import AnalysisResult, Notice, Reused, Saved, Work
from tests.unit.agent_context import FakeContext, page
from workers.analysis import AnalysisAgent

A = "https://a.example/"
QUESTION = "At which temperature does water boil?"
PAGES = {A: page(A, "Water boils at 100 degrees Celsius at sea level.", "Boiling")}
CLAIM = "Water boils at 100 degrees at sea level."
ANSWERS = {
    "plan": json.dumps({"questions": []}),
    "report": json.dumps(
        {
            "statements": [
                {"text": CLAIM, "support": [{"source": 1, "quote": "Water boils at 100 degrees Celsius at sea level"}]}
            ]
        }
    ),
    "check": json.dumps({"wrong": []}),
}
DOWN = TaskError("earlier results were not looked at: it is down", code="reuse_unavailable", retryable=False)


def asked(question: str = QUESTION, **fields: Any) -> AnalysisInput:
    return AnalysisInput.model_validate({"question": question, **fields})


def web(**fields: Any) -> FakeContext:
    return FakeContext(answers=ANSWERS, pages=PAGES, hits=SearchReply(hits=[SearchHit(url=A)]), **fields)


def run(ctx: FakeContext, task_input: AnalysisInput) -> AnalysisResult:
    return asyncio.run(AnalysisAgent().run(ctx, task_input))


def earlier(of: AnalysisInput, result: AnalysisResult, task_id: str = "before") -> EarlierTask:
    return EarlierTask(
        id=task_id, input=of.model_dump_json(), result=result.model_dump_json(), tokens=1_234, usd=0.5,
        created_at=1_700_000_000_123, age_s=60.5,
    )  # fmt: skip


@pytest.fixture(scope="module")
def done() -> AnalysisResult:
    """What came of the question the first time."""
    return run(web(), asked())


def test_what_was_done_is_counted(done: AnalysisResult) -> None:
    assert done.work == Work(fetches=1, searches=1, model_calls=3)
    assert done.reused is None
    assert done.counts() == {}


def test_an_earlier_result_is_given_whole_and_nothing_is_asked(done: AnalysisResult) -> None:
    ctx = FakeContext(stored={key_of(asked()): earlier(asked(), done)})

    result = run(ctx, asked("at which temperature does  water boil"))

    saved = Saved(fetches=1, searches=1, model_calls=3, tokens=1_234, usd=0.5)
    assert result == done.model_copy(
        update={
            "work": Work(),
            "reused": Reused(
                task_id="before", question=QUESTION, created_at="2023-11-14T22:13:20.123Z", age_s=60.5, saved=saved
            ),
        }
    )
    (claim,) = result.claims
    assert claim.spans[0].quote in result.sources[0].passages[0].text
    assert (ctx.requests, ctx.searches, list(ctx.steps)) == ({}, [], ["reuse"])
    assert ctx.events == [("reused", {"task_id": "before"})]
    assert result.counts() == {
        "reused:analysis": 1, "reuse_saved:fetches": 1, "reuse_saved:searches": 1, "reuse_saved:model_calls": 3,
        "reuse_saved:tokens": 1_234, "reuse_saved_usd": 0.5,
    }  # fmt: skip


def test_another_attempt_decides_alike_though_the_earlier_result_is_gone(done: AnalysisResult) -> None:
    first = FakeContext(stored={key_of(asked()): earlier(asked(), done)})
    reused = run(first, asked())

    assert run(FakeContext(steps=first.steps), asked()) == reused


def test_another_attempt_goes_on_with_its_own_work_though_there_is_a_result_now(done: AnalysisResult) -> None:
    first = web()
    own = run(first, asked())

    second = web(stored={key_of(asked()): earlier(asked(), done)}, steps=first.steps)
    assert run(second, asked()) == own
    assert second.looked_for == []


def test_who_wants_it_done_again_gets_it_done(done: AnalysisResult) -> None:
    ctx = web(stored={key_of(asked()): earlier(asked(), done)})

    result = run(ctx, asked(reuse=False))

    assert (result.reused, result.work.model_calls) == (None, 3)
    assert (ctx.looked_for, "reuse" in ctx.steps) == ([], False)


def test_a_store_that_is_down_is_a_warning() -> None:
    result = run(web(stored=DOWN), asked())

    assert result.claims[0].supported
    assert Notice(code="reuse_unavailable", message=DOWN.message) in result.warnings


def test_that_warning_is_not_handed_on() -> None:
    unlucky = run(web(stored=DOWN), asked())
    result = run(FakeContext(stored={key_of(asked()): earlier(asked(), unlucky)}), asked())
    assert result.reused is not None
    assert "reuse_unavailable" not in {notice.code for notice in result.warnings}


def test_another_failure_passes() -> None:
    with pytest.raises(TaskError, match="broken"):
        run(web(stored=TaskError("broken", code="bug")), asked())


@pytest.mark.parametrize(
    ("before", "spoilt"),
    [
        (asked("At which temperature does wine boil?"), {}),  # the key lied: it finds, and proves nothing
        (asked(), {"warnings": [Notice(code="budget_limited", message="")]}),
        (asked(), {"claims": []}),
    ],
)
def test_what_does_not_answer_is_passed_over(
    done: AnalysisResult, before: AnalysisInput, spoilt: dict[str, Any]
) -> None:
    ctx = web(stored={key_of(asked()): earlier(before, done.model_copy(update=spoilt))})
    assert run(ctx, asked()).reused is None


def test_what_another_version_stored_is_passed_over(done: AnalysisResult) -> None:
    odd = earlier(asked(), done).model_copy(update={"result": '{"report": "?"}'})
    assert run(web(stored={key_of(asked()): odd}), asked()).reused is None


def test_a_deeper_result_answers_where_a_worthless_one_does_not(done: AnalysisResult) -> None:
    deep = asked(depth=3)
    worthless = earlier(asked(), done.model_copy(update={"claims": []}), "worthless")
    result = run(FakeContext(stored={key_of(asked()): worthless, key_of(deep): earlier(deep, done)}), asked())
    assert result.reused is not None
    assert result.reused.task_id == "before"
