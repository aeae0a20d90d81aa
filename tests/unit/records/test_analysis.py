"""An analysis in the stores."""

from codeforge.equivalence import key_of
from codeforge.identity import claim_id
from codeforge.inputs import AnalysisInput
from codeforge.records import records_of
from codeforge.results import (
    AnalysisResult,
    Claim,
    Notice,
    Reused,
    Saved,
    ScrapeResult,
    Source,
    SourcePassage,
    Span,
)
from codeforge.worker_types import WorkerType
from tests.unit.records.samples import edges, finished, nodes, page

SENTENCE = "Reefs turn white when the sea is too warm [1]. "
RESULT = AnalysisResult(
    report=f"# Reefs\n\n{SENTENCE * 40}",
    claims=[
        Claim(text="Reefs turn white.", sources=[1, 1, 2, 9], supported=True),
        Claim(text="Nobody knows why.", sources=[], supported=False),
    ],
    sources=[
        Source(n=1, url="https://a.example/reefs", title="Reefs", excerpt=" Corals expel their algae. "),
        Source(n=2, url="https://b.example/", title=""),
    ],
)
QUESTION = b'{"question":"Why do reefs\\n turn white?","depth":2}'


def test_the_report_is_an_artifact_and_searchable_in_parts_under_the_question() -> None:
    task = finished(WorkerType.ANALYSIS, RESULT, input=QUESTION)

    records = records_of(task, [])

    (report,) = nodes(records, "Artifact")
    assert report.props == {
        "tenant": "acme",
        "kind": "report",
        "title": "Why do reefs turn white?",
        "content": RESULT.report,
    }
    (produced,) = edges(records, "PRODUCED")
    assert (produced.start, produced.end) == (("Task", task.id), ("Artifact", report.id))
    parts = [text for text in records.texts if text.kind == "report"]
    assert len(parts) > 1
    assert all(part.text.startswith("Why do reefs turn white?\n") for part in parts)


def test_claims_cite_excerpts_else_documents() -> None:
    task = finished(WorkerType.ANALYSIS, RESULT, input=QUESTION)

    records = records_of(task, [])

    first, second = nodes(records, "Claim")
    (excerpt,) = nodes(records, "Chunk")
    with_excerpt, without = nodes(records, "Document")
    assert first.props == {"tenant": "acme", "text": "Reefs turn white.", "supported": True, "reason": None}
    assert second.props["supported"] is False
    assert [edge.end[1] for edge in edges(records, "CLAIMED")] == [first.id, second.id]
    assert [(edge.start[1], edge.end) for edge in edges(records, "CITES")] == [
        (first.id, ("Chunk", excerpt.id)),
        (first.id, ("Document", without.id)),
    ]
    assert excerpt.props["text"] == "Corals expel their algae."
    assert [(edge.start[1], edge.end[1]) for edge in edges(records, "HAS_CHUNK")] == [(with_excerpt.id, excerpt.id)]
    assert [text.text for text in records.texts if text.kind == "claim"] == ["Reefs turn white.", "Nobody knows why."]


def test_claims_cite_the_passages_that_bear_them_out_with_the_places_in_them() -> None:
    passages = [
        SourcePassage(start=0, text="Reefs turn white. Corals die."),
        SourcePassage(start=90, text="It is warm."),
    ]
    spans = [
        Span(source=1, start=0, end=16, quote="Reefs turn white"),
        Span(source=1, start=18, end=29, quote="Corals die."),
        Span(source=1, start=90, end=100, quote="It is warm"),
    ]
    result = AnalysisResult(
        report="Reefs turn white [1].",
        claims=[
            Claim(id=claim_id("t", 0), text="Reefs turn white.", sources=[1], supported=True, spans=spans),
            Claim(id=claim_id("t", 1), text="Nobody knows.", sources=[], supported=False, reason="it has no quote"),
        ],
        sources=[Source(n=1, url="https://a.example/", excerpt="Reefs", passages=passages)],
    )

    records = records_of(finished(WorkerType.ANALYSIS, result, input=QUESTION), [])

    (document,) = nodes(records, "Document")
    first, second = nodes(records, "Chunk")
    assert [chunk.props["text"] for chunk in (first, second)] == [passage.text for passage in passages]
    assert {(edge.start[1], edge.end[1]) for edge in edges(records, "HAS_CHUNK")} == {
        (document.id, first.id),
        (document.id, second.id),
    }
    assert [(edge.start[1], edge.end[1], dict(edge.props)) for edge in edges(records, "CITES")] == [
        (claim_id("t", 0), first.id, {"spans": ["0-16", "18-29"], "quotes": ["Reefs turn white", "Corals die."]}),
        (claim_id("t", 0), second.id, {"spans": ["90-100"], "quotes": ["It is warm"]}),
    ]
    assert [node.props.get("reason") for node in nodes(records, "Claim")] == [None, "it has no quote"]
    assert [edge.end[1] for edge in edges(records, "READ")] == [document.id]


def test_a_source_is_the_document_that_a_scrape_stored_and_takes_nothing_from_it() -> None:
    scrape = finished(WorkerType.SCRAPE, ScrapeResult(pages=[page("https://b.example", "Text", title="B")], failed=[]))
    (scraped,) = nodes(records_of(scrape, []), "Document")

    (_, source) = nodes(records_of(finished(WorkerType.ANALYSIS, RESULT, input=QUESTION), []), "Document")

    assert source.id == scraped.id
    assert source.props == {"tenant": "acme", "url": "https://b.example/"}


def test_a_whole_result_is_found_by_what_it_answers_and_others_are_not() -> None:
    def keys(result: AnalysisResult, input: bytes = QUESTION) -> list[str | None]:
        records = records_of(finished(WorkerType.ANALYSIS, result, input=input), [])
        return [text.payload(finished(WorkerType.ANALYSIS, None)).get("answers") for text in records.texts]

    asked = AnalysisInput.model_validate_json(QUESTION)
    first, *others = keys(RESULT)
    assert first == key_of(asked)
    assert set(others) == {None}
    spoilt = RESULT.model_copy(update={"warnings": [Notice(code="budget_limited", message="")]})
    assert set(keys(spoilt)) == {None}
    assert set(keys(RESULT, b'{"question":"Why?","of_another_version":1}')) == {None}


def test_a_result_that_was_taken_over_adds_nothing_but_whose_it_was() -> None:
    taken = Reused(task_id="before", question="Why?", created_at="2023-11-14T22:13:20.123Z", age_s=1.0, saved=Saved())
    task = finished(WorkerType.ANALYSIS, RESULT.model_copy(update={"reused": taken}), input=QUESTION)

    records = records_of(task, [])

    assert [(node.label, node.id) for node in records.graph.nodes] == [("Task", task.id), ("Task", "before")]
    assert [(edge.type, edge.start[1], edge.end[1]) for edge in records.graph.edges] == [("REUSED", task.id, "before")]
    assert records.texts == []
