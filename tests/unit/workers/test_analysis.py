"""The analysis agent."""

import asyncio
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from codeforge.agent import ModelRequest, SearchHit, SearchReply
from codeforge.errors import ModelError
from codeforge.identity import claim_id
from codeforge.inputs import AnalysisInput
from codeforge.results import AnalysisResult
from codeforge.task import Task
from tests.unit.agent_context import FakeContext, page
from workers.analysis import AnalysisAgent
from workers.passages import READ_CHARS
from workers.purse import Purse
from workers.report import with_citations, without_citations
from workers.research import Research

A, B, C = "https://a.example/", "https://b.example/", "https://c.example/"
PAGES = {
    A: page(A, "Water boils at 100 degrees Celsius at sea level.", "Boiling"),
    B: page(B, "On Everest water boils at only 71 degrees. Climbers cook pasta for longer.", "Everest"),
}
QUESTION = "At which temperature does water boil?"
SEA = ("Water boils at 100 degrees at sea level.", 1, "Water boils at 100 degrees Celsius at sea level")
EVEREST = ("On Everest water boils at 71 degrees.", 2, "On Everest water boils at only 71 degrees")
ALL_RIGHT = json.dumps({"wrong": []})


def statement(text: str, *support: tuple[int, str], begins: bool = False) -> dict[str, Any]:
    quotes = [{"source": source, "quote": quote} for source, quote in support]
    return {"text": text, "begins_paragraph": begins, "support": quotes}


def report(*statements: tuple[str, int, str] | dict[str, Any], conflicts: list[dict[str, Any]] | None = None) -> str:
    whole = [one if isinstance(one, dict) else statement(one[0], one[1:]) for one in statements]
    return json.dumps({"statements": whole, "conflicts": conflicts or []})


def answers(*statements: tuple[str, int, str] | dict[str, Any], **others: str) -> dict[str, str]:
    return {"report": report(*statements), "check": ALL_RIGHT} | others


def run(ctx: FakeContext, task_input: AnalysisInput) -> AnalysisResult:
    return asyncio.run(AnalysisAgent().run(ctx, task_input))


def given(*urls: str, **fields: Any) -> AnalysisInput:
    return AnalysisInput.model_validate({"question": QUESTION, "urls": list(urls), "search": "none", **fields})


def found(**of: list[str]) -> dict[str, SearchReply]:
    return {query: SearchReply(hits=[SearchHit(url=url) for url in urls]) for query, urls in of.items()}


def codes(result: AnalysisResult) -> list[str]:
    return [notice.code for notice in result.warnings]


def test_each_sentence_is_a_claim_with_the_place_that_bears_it_out() -> None:
    ctx = FakeContext(answers=answers(SEA, statement(EVEREST[0], EVEREST[1:], begins=True)), pages=PAGES)

    result = run(ctx, given(A, B))

    assert result.report == "Water boils at 100 degrees at sea level [1].\n\nOn Everest water boils at 71 degrees [2]."
    assert [(claim.text, claim.sources, claim.supported) for claim in result.claims] == [
        (SEA[0], [1], True),
        (EVEREST[0], [2], True),
    ]
    assert [claim.id for claim in result.claims] == [claim_id("t1", 0), claim_id("t1", 1)]
    (span,) = result.claims[1].spans
    assert (span.source, span.quote) == (2, EVEREST[2])
    assert PAGES[B].markdown[span.start : span.end] == span.quote
    (passage,) = result.sources[1].passages
    assert passage.text[span.start - passage.start : span.end - passage.start] == span.quote
    assert [(source.n, source.url, source.title) for source in result.sources] == [(1, A, "Boiling"), (2, B, "Everest")]
    assert result.sources[0].content_hash == PAGES[A].content_hash
    assert "Source [2] Everest\nOn Everest water boils" in ctx.requests["report"].messages[-1].content
    assert (result.failed, codes(result)) == ([], ["words_only"])


@pytest.mark.parametrize(
    "false",
    [
        ("Water boils at 90 degrees at sea level.", 1, "Water boils at 100 degrees Celsius at sea level"),
        ("Water boils at 90 degrees at sea level.", 1, "Water boils at 90 degrees Celsius at sea level"),
        ("Water does not boil at sea level.", 1, "Water boils at 100 degrees Celsius at sea level"),
        ("On Elbrus water boils at 71 degrees.", 2, "On Everest water boils at only 71 degrees"),
        ("Climbers prefer rice.", 2, "On Everest water boils at only 71 degrees"),
        ("Water boils at 100 degrees.", 9, "boils at one hundred degrees"),
        ("Water boils.", 1, "100"),
    ],
)
def test_a_falsehood_is_never_shown_as_supported(false: tuple[str, int, str]) -> None:
    result = run(FakeContext(answers=answers(SEA, false), pages=PAGES), given(A, B))

    _, claim = result.claims
    assert (claim.supported, claim.sources, claim.spans) == (False, [], [])
    assert claim.reason
    assert (
        result.report
        == f"Water boils at 100 degrees at sea level [1].\n\n## Not supported by the sources\n\n- {false[0]}"
    )


def test_a_quote_from_another_source_is_cited_where_it_stands() -> None:
    result = run(FakeContext(answers=answers((SEA[0], 2, SEA[2])), pages=PAGES), given(A, B))
    assert result.claims[0].sources == [1]


def test_a_second_look_takes_support_away() -> None:
    ctx = FakeContext(answers=answers(SEA, EVEREST, check=json.dumps({"wrong": [2, 7]})), pages=PAGES)

    result = run(ctx, given(A, B))

    assert [claim.supported for claim in result.claims] == [True, False]
    assert "second look" in result.claims[1].reason
    shown = ctx.requests["check"].messages[-1].content
    assert "2. On Everest water boils at 71 degrees.\n> On Everest water boils at only 71 degrees." in shown


def test_a_second_look_that_fails_is_told() -> None:
    no = dict.fromkeys(("check", "check.repair1", "check.repair2"), "no")
    result = run(FakeContext(answers=answers(SEA, **no), pages=PAGES), given(A))
    assert "claims_not_checked" in codes(result)
    assert result.claims[0].supported


def test_two_sentences_in_one_statement_are_two_claims() -> None:
    both = f"{SEA[0]} {EVEREST[0]} It glows."
    ctx = FakeContext(answers=answers(statement(both, SEA[1:], EVEREST[1:])), pages=PAGES)

    result = run(ctx, given(A, B))

    assert [(claim.sources, claim.supported) for claim in result.claims] == [([1], True), ([2], True), ([], False)]


def test_sources_that_contradict_each_other_are_told() -> None:
    pages = {
        A: page(A, "The tower is 300 metres tall and made of iron."),
        B: page(B, "The tower is 200 metres tall and made of iron."),
    }
    told = {
        "text": "The sources differ on the material.",
        "first": {"source": 1, "quote": "made of iron and"},
        "second": {"source": 2, "quote": "made of bronze"},
    }
    claim = statement("The tower is 300 metres tall.", (1, "The tower is 300 metres tall"))
    ctx = FakeContext(answers={"report": report(claim, conflicts=[told]), "check": ALL_RIGHT}, pages=pages)

    (conflict,) = run(ctx, given(A, B)).contradictions

    assert conflict.found_by == "comparison"
    assert "300 and 200" in conflict.text
    assert [(span.source, span.quote) for span in conflict.spans] == [(1, pages[A].markdown), (2, pages[B].markdown)]


def test_a_contradiction_that_the_model_tells_of_stands_on_quotes_from_two_sources() -> None:
    told = {
        "text": "They give different temperatures [1].",
        "first": {"source": 1, "quote": "boils at 100 degrees Celsius"},
        "second": {"source": 2, "quote": "boils at only 71 degrees"},
    }
    ctx = FakeContext(answers={"report": report(SEA, conflicts=[told]), "check": ALL_RIGHT}, pages=PAGES)

    result = run(ctx, given(A, B))

    assert [(one.text, one.found_by) for one in result.contradictions] == [
        ("They give different temperatures.", "model")
    ]
    assert "- They give different temperatures. \u201cboils at 100 degrees Celsius\u201d [1];" in result.report


class Poor(FakeContext):
    """A budget that no model call fits into."""

    @property
    def task(self) -> Task:
        return replace(super().task, budget_tokens=1)


def test_footnotes_of_a_source_are_not_shown_as_citations() -> None:
    noted = "Water boils at 100 degrees[7] in Rome and[[8]](https://a.example/#cite-8) in Athens."
    pages = {A: page(A, noted), B: page(B, noted.replace("100", "71"))}
    claim = statement("Water boils at 100 degrees in Rome.", (1, "Water boils at 100 degrees[7] in Rome"))
    written = run(FakeContext(answers=answers(claim), pages=pages), given(A, B))
    extracts = run(Poor(pages=pages), given(A, B))
    assert written.contradictions
    assert extracts.claims
    for result in (written, extracts):
        assert set(re.findall(r"\[\d+\]", result.report)) == {"[1]", "[2]"}
        assert all(span.quote in pages[(A, B)[span.source - 1]].markdown for one in result.claims for span in one.spans)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("So it is [1].", "So it is."),
        ("So it is [1, 3; 2].", "So it is."),
        ("So [3](https://evil.example/) it is [2](https://x.example).", "So it is."),
        ("So it is.[[1]](https://a.example/#cite-1) And so[[2, 3]] on.", "So it is. And so on."),
        ("a [link](https://a.example) stays", "a [link](https://a.example) stays"),
    ],
)
def test_citations_are_never_the_model_s_own(text: str, clean: str) -> None:
    assert without_citations(text) == clean
    assert with_citations(clean, []) == clean


def test_a_page_that_cannot_be_had_never_fails_the_task() -> None:
    ctx = FakeContext(answers=answers(EVEREST), pages={**PAGES, C: page(C, "  ")})

    result = run(ctx, given("https://gone.example/", C, B))

    assert [(failed.url, failed.code) for failed in result.failed] == [
        ("https://gone.example/", "connect_failed"),
        (C, "bad_response"),
    ]
    assert [source.url for source in result.sources] == [B]


def test_no_more_of_a_page_is_kept_than_passages_are_taken_from() -> None:
    long = page(A, "Water boils. " * READ_CHARS).model_copy(update={"links": [B]})
    ctx = FakeContext(pages={A: long})
    (kept,) = asyncio.run(Research(ctx, Purse(ctx, None), given(A)).run()).pages
    assert (len(kept.markdown), kept.links) == (READ_CHARS, [])


def test_one_text_under_two_addresses_is_one_source() -> None:
    pages = {A: PAGES[A], B: PAGES[B], C: page(C, PAGES[A].markdown)}
    result = run(FakeContext(answers=answers(SEA), pages=pages), given(A, B, C, A, A + "#there"))
    assert [source.url for source in result.sources] == [A, B]


def test_passages_are_chosen_by_meaning_too() -> None:
    filler = "\n\n".join(f"Verse {n}. " + "La la la la. " * 45 for n in range(30))
    pages = {A: page(A, f"{filler}\n\nA puncture is mended at the roadside with a patch.\n\n{filler}")}
    ctx = FakeContext(
        answers=answers(("A puncture is mended with a patch.", 1, "A puncture is mended at the roadside with a patch")),
        pages=pages,
        vectors=lambda text: [1.0, 0.0] if "puncture" in text or "two-wheeler" in text else [0.0, 1.0],
    )

    result = run(ctx, AnalysisInput(question="My two-wheeler lost air?", urls=[A], search="none"))

    assert result.claims[0].supported
    assert codes(result) == []


def test_another_attempt_numbers_its_sources_alike_and_asks_nothing_again() -> None:
    ctx = FakeContext(answers=answers(EVEREST), pages={B: PAGES[B]})
    first = run(ctx, given(A, B))
    again = FakeContext(pages=PAGES, steps=ctx.steps)  # the page that could not be had comes through now

    assert run(again, given(A, B)) == first


def test_without_sources_nothing_is_supported_and_the_report_says_so() -> None:
    text = json.dumps({"paragraphs": ["It boils at 100 [1]."], "claims": ["It boils.", " "]})

    result = run(FakeContext(answers={"report": text}), given(A))

    assert result.report.startswith("No source could be read.")
    assert result.report.endswith("It boils at 100.")
    assert [(c.text, c.sources, c.supported) for c in result.claims] == [("It boils.", [], False)]
    assert codes(result) == ["no_sources"]
    assert result.sources == []


def test_a_report_without_words_is_sent_back() -> None:
    ctx = FakeContext(answers=answers(statement(" "), **{"report.repair1": report(SEA)}), pages=PAGES)
    assert run(ctx, given(A)).claims[0].supported


def test_a_model_that_gives_no_report_fails_the_task() -> None:
    ctx = FakeContext(answers=dict.fromkeys(("report", "report.repair1", "report.repair2"), "no"), pages=PAGES)
    with pytest.raises(ModelError):
        run(ctx, given(A))


def test_the_grammar_knows_which_sources_there_are() -> None:
    ctx = FakeContext(answers=answers(SEA), pages=PAGES)

    run(ctx, given(A, B))

    schema = ctx.requests["report"].json_schema
    assert schema is not None
    quotes = schema["properties"]["statements"]["items"]["properties"]["support"]["items"]
    assert quotes["properties"]["source"]["enum"] == [1, 2]
    assert quotes["required"] == ["source", "quote"]


def test_each_stage_is_told() -> None:
    ctx = FakeContext(answers=answers(SEA), pages=PAGES)

    run(ctx, given(A, "https://gone.example/"))

    assert [kind for kind, _ in ctx.events] == ["source", "source_failed", "report"]
    assert [(done, total) for done, total, _ in ctx.reports] == [(0, 3), (0, 3), (1, 3), (2, 3), (3, 3)]


def count(request: ModelRequest) -> int:
    return sum(len(message.content) for message in request.messages)
