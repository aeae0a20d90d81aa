"""The analysis agent."""

import asyncio
import json

import pytest

from codeforge.agent import SearchHit, SearchReply
from codeforge.errors import ModelError, TaskError
from codeforge.inputs import AnalysisInput
from codeforge.results import AnalysisResult
from tests.unit.agent_context import FakeContext, page
from workers.analysis import AnalysisAgent, cited

A, B, C = "https://a.example/", "https://b.example/", "https://c.example/"
PAGES = {
    A: page(A, "Water boils at 100 degrees Celsius at sea level.", "Boiling"),
    B: page(B, "On Everest water boils at only 71 degrees.", "Everest"),
}
QUESTION = "At which temperature does water boil?"


def claim(text: str, sources: list[int], quote: str) -> dict[str, object]:
    return {"text": text, "sources": sources, "quote": quote}


def report(*paragraphs: str, claims: list[dict[str, object]] | None = None) -> str:
    return json.dumps({"paragraphs": paragraphs, "claims": claims or []})


def run(ctx: FakeContext, task_input: AnalysisInput) -> AnalysisResult:
    return asyncio.run(AnalysisAgent().run(ctx, task_input))


def given(*urls: str) -> AnalysisInput:
    return AnalysisInput(question=QUESTION, urls=list(urls), search="none")


def test_the_report_stands_on_numbered_sources() -> None:
    text = report("At sea level, at 100 degrees [1].", "On Everest, at 71 [2].")
    ctx = FakeContext(answers={"report": text}, pages=PAGES)

    result = run(ctx, given(A, B))

    assert result.report == "At sea level, at 100 degrees [1].\n\nOn Everest, at 71 [2]."
    assert [(source.n, source.url, source.title) for source in result.sources] == [(1, A, "Boiling"), (2, B, "Everest")]
    assert "71 degrees" in result.sources[1].excerpt
    shown = ctx.requests["report"].messages[-1].content
    assert "Source [2] Everest\nOn Everest water boils" in shown
    assert (result.failed, result.warnings) == ([], [])


@pytest.mark.parametrize(
    ("sources", "quote", "supported", "kept"),
    [
        ([1], "boils at 100 degrees celsius", True, [1]),
        ([2, 1], "Boils  at 100\ndegrees", True, [2, 1]),
        ([2], "boils at 100 degrees Celsius", False, [2]),
        ([1], "boils at 90 degrees Celsius", False, [1]),
        ([1], "100", False, [1]),
        ([9], "boils at 100 degrees Celsius", False, []),
        ([], "boils at 100 degrees Celsius", False, []),
    ],
)
def test_a_claim_is_supported_only_by_a_quote_from_a_source_it_cites(
    sources: list[int], quote: str, supported: bool, kept: list[int]
) -> None:
    text = report("Text.", claims=[claim("It boils.", sources, quote)])

    result = run(FakeContext(answers={"report": text}, pages=PAGES), given(A, B))

    assert [(c.text, c.sources, c.supported) for c in result.claims] == [("It boils.", kept, supported)]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("So it is [1].", "So it is [1]."),
        ("So it is [3].", "So it is."),
        ("So it is [1, 3, 2].", "So it is [1, 2]."),
        ("So it is [3][1].", "So it is[1]."),
        ("So [3](https://evil.example/) it is [2](https://x.example).", "So it is [2]."),
        ("[0] a list:\n    - kept [12]\n", "a list:\n    - kept"),
        ("a [link](https://a.example) stays", "a [link](https://a.example) stays"),
    ],
)
def test_citations_of_sources_that_do_not_exist_are_removed(text: str, clean: str) -> None:
    assert cited(text, {1, 2}) == clean


def test_a_page_that_cannot_be_had_never_fails_the_task() -> None:
    pages = {**PAGES, C: page(C, "  ")}
    ctx = FakeContext(answers={"report": report("Text [1].")}, pages=pages)

    result = run(ctx, given("https://gone.example/", C, B))

    assert [(failed.url, failed.code) for failed in result.failed] == [
        ("https://gone.example/", "connect_failed"),
        (C, "bad_response"),
    ]
    assert [source.url for source in result.sources] == [B]


def test_one_text_under_two_addresses_is_one_source() -> None:
    pages = {A: PAGES[A], B: PAGES[B], C: page(C, PAGES[A].markdown)}

    result = run(FakeContext(answers={"report": report("Text.")}, pages=pages), given(A, B, C, A))

    assert [source.url for source in result.sources] == [A, B]


def test_search_hits_are_read_after_the_given_urls() -> None:
    hits = SearchReply(hits=[SearchHit(url=B), SearchHit(url=A)], warnings=["exa: over its quota"])
    ctx = FakeContext(answers={"report": report("Text.")}, pages=PAGES, hits=hits)

    result = run(ctx, AnalysisInput(question=QUESTION, urls=[A], depth=3))

    assert [source.url for source in result.sources] == [A, B]
    assert ctx.searches == [(QUESTION, "auto", 12)]
    assert [notice.message for notice in result.warnings] == ["exa: over its quota"]


def test_auto_search_without_a_provider_goes_on_with_the_urls() -> None:
    ctx = FakeContext(answers={"report": report("Text [1].")}, pages=PAGES)

    result = run(ctx, AnalysisInput(question=QUESTION, urls=[A]))

    assert [notice.code for notice in result.warnings] == ["search_not_configured"]
    assert len(result.sources) == 1


@pytest.mark.parametrize("provider", ["tavily", "exa"])
def test_a_search_asked_for_by_name_must_be_there(provider: str) -> None:
    with pytest.raises(TaskError) as caught:
        run(FakeContext(pages=PAGES), AnalysisInput.model_validate({"question": "x", "urls": [A], "search": provider}))
    assert caught.value.code == "search_not_configured"


def test_a_search_that_may_work_later_fails_the_attempt() -> None:
    hits = TaskError("tavily is down", code="search_failed", retryable=True)
    with pytest.raises(TaskError, match="down"):
        run(FakeContext(pages=PAGES, hits=hits), AnalysisInput(question="x", urls=[A]))


def test_no_search_is_made_when_none_is_wanted() -> None:
    ctx = FakeContext(answers={"report": report("Text.")}, pages=PAGES)
    run(ctx, given(A))
    assert ctx.searches == []


def test_without_sources_nothing_is_supported_and_the_report_says_so() -> None:
    text = json.dumps({"paragraphs": ["It boils at 100 [1]."], "claims": ["It boils.", " "]})

    result = run(FakeContext(answers={"report": text}), AnalysisInput(question=QUESTION))

    assert result.report.startswith("No source could be read.")
    assert result.report.endswith("It boils at 100.")
    assert [(c.text, c.sources, c.supported) for c in result.claims] == [("It boils.", [], False)]
    assert [notice.code for notice in result.warnings] == ["search_not_configured", "no_sources"]
    assert result.sources == []


def test_a_report_without_words_is_sent_back() -> None:
    ctx = FakeContext(answers={"report": report(" "), "report.repair1": report("Words.")}, pages=PAGES)
    assert run(ctx, given(A)).report == "Words."


def test_a_model_that_gives_no_report_fails_the_task() -> None:
    ctx = FakeContext(answers=dict.fromkeys(("report", "report.repair1", "report.repair2"), "no"), pages=PAGES)
    with pytest.raises(ModelError):
        run(ctx, given(A))


def test_the_grammar_knows_which_sources_there_are() -> None:
    ctx = FakeContext(answers={"report": report("Text.")}, pages=PAGES)

    run(ctx, given(A, B))

    schema = ctx.requests["report"].json_schema
    assert schema is not None
    assert schema["properties"]["claims"]["items"]["properties"]["sources"]["items"]["enum"] == [1, 2]


def test_each_stage_is_told() -> None:
    ctx = FakeContext(answers={"report": report("Text.")}, pages=PAGES)

    run(ctx, given(A, "https://gone.example/"))

    assert [kind for kind, _ in ctx.events] == ["source", "source_failed", "report"]
    assert [(done, total) for done, total, _ in ctx.reports] == [(0, 3), (1, 3), (2, 3), (3, 3)]
