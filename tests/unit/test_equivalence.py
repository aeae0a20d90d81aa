"""When one analysis answers another."""

from typing import Any

import pytest

from codeforge.equivalence import answers_others, key_of, keys_for, wording
from codeforge.inputs import AnalysisInput
from codeforge.results import AnalysisResult, Claim, Notice, Reused, Saved

QUESTION = "How deep is Lake Orrin at its northern end?"


def asked(question: str = QUESTION, **fields: Any) -> AnalysisInput:
    return AnalysisInput.model_validate({"question": question, **fields})


def answers(earlier: AnalysisInput, later: AnalysisInput) -> bool:
    return key_of(earlier) in keys_for(later)


@pytest.mark.parametrize(
    "same",
    [
        QUESTION,
        "  how DEEP is Lake Orrin\n at its northern end ",
        "How deep is Lake\u00a0Orrin at its northern end?",
        "How deep is Lake Orrin at its north\u00adern end.",
    ],
)
def test_the_same_words_are_the_same_question(same: str) -> None:
    assert answers(asked(), asked(same))
    assert answers(asked(same), asked())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (QUESTION, "How deep is Lake Orrin at its southern end?"),
        (QUESTION, "How deep is Lake Orrin?"),
        ("Who won the cup in 2018?", "Who won the cup in 2019?"),
        ("Is it true that the dam holds?", "Is it not true that the dam holds?"),
        ("Did the flood cause the fire?", "Did the fire cause the flood?"),  # wordllama: cosine 1.0
        ("Is hepatitis A contagious?", "Is hepatitis contagious?"),
        ("Is C++ hard to learn?", "Is C hard to learn?"),
        ("What is 5 - 3?", "What is 5 3?"),
        ("What is 5!", "What is 5?"),
        ("How tall is a man of 5'?", 'How tall is a man of 5"?'),
        ("What is 10\u00b2?", "What is 102?"),
    ],
)
def test_other_words_are_another_question(one: str, other: str) -> None:
    assert not answers(asked(one), asked(other))
    assert not answers(asked(other), asked(one))


def test_typographic_spelling_is_no_difference() -> None:
    assert wording("What\u2019s \u201cOrrin\u201d \u2013 a lake?") == wording('what\'s "orrin" - a lake')


def test_a_deeper_one_answers_and_a_shallower_one_does_not() -> None:
    assert answers(asked(depth=4), asked(depth=2))
    assert answers(asked(depth=2), asked(depth=2))
    assert not answers(asked(depth=1), asked(depth=2))


def test_other_sources_are_another_question() -> None:
    a, b = "https://a.example/", "https://b.example/x"
    assert answers(asked(urls=[a, b]), asked(urls=["HTTPS://B.example:443/x#top", a, a]))
    assert not answers(asked(urls=[a]), asked(urls=[a, b]))
    assert not answers(asked(urls=[a, b]), asked())
    assert not answers(asked(search="tavily"), asked(search="auto"))


def result(*warnings: str, supported: bool = True, reused: Reused | None = None) -> AnalysisResult:
    return AnalysisResult(
        report="Deep.",
        claims=[Claim(text="It is deep.", sources=[1] if supported else [], supported=supported)],
        sources=[],
        warnings=[Notice(code=code, message="") for code in warnings],
        reused=reused,
    )


def test_only_a_whole_result_of_its_own_answers_others() -> None:
    taken = Reused(task_id="t", question=QUESTION, created_at="", age_s=1.0, saved=Saved())
    assert answers_others(result())
    assert answers_others(result("words_only", "search"))
    assert not answers_others(result(supported=False))
    assert not answers_others(result(reused=taken))
    for spoilt in ("budget_limited", "no_sources", "no_plan", "claims_not_checked", "search_unavailable"):
        assert not answers_others(result("words_only", spoilt))
