"""The provenance use case, and its route."""

import pytest

from codeforge.errors import ClaimNotFound, GraphUnavailable
from codeforge.identity import claim_id
from codeforge.provenance import Provenance
from codeforge.records import records_of
from codeforge.results import AnalysisResult, Claim, Source, SourcePassage, Span
from codeforge.stores.memory_graph import MemoryGraphStore
from codeforge.task import ModelCall
from codeforge.worker_types import WorkerType
from tests.unit.api.door import opened, problem_of
from tests.unit.records.samples import FINISHED, finished

pytestmark = pytest.mark.anyio

CLAIM, UNSUPPORTED = claim_id(FINISHED.id, 0), claim_id(FINISHED.id, 1)
RESULT = AnalysisResult(
    report="Reefs turn white [1].",
    claims=[
        Claim(
            id=CLAIM, text="Reefs turn white.", sources=[1], supported=True,
            spans=[Span(source=1, start=40, end=56, quote="Reefs turn white")],
        ),
        Claim(id=UNSUPPORTED, text="Nobody knows.", sources=[], supported=False, reason="it has no quote"),
    ],
    sources=[
        Source(
            n=1, url="https://a.example/reefs", title="Reefs",
            passages=[SourcePassage(start=40, text="Reefs turn white when it is warm.")],
        )
    ],
)  # fmt: skip
CALLS = [ModelCall("report", "m", 900, 100, 0.25, 1_200), ModelCall("plan", "m", 90, 10, 0.0, 300)]


async def graph() -> MemoryGraphStore:
    store = MemoryGraphStore()
    task = finished(WorkerType.ANALYSIS, RESULT, input=b'{"question":"Why?"}')
    await store.write(records_of(task, CALLS).graph)
    return store


async def test_a_claim_is_traced_to_its_chunk_its_page_its_task_and_the_model_s_calls() -> None:
    why = await Provenance(await graph()).why("acme", CLAIM)

    assert (why.claim.text, why.claim.supported, why.claim.reason) == ("Reefs turn white.", True, None)
    (citation,) = why.citations
    assert [(place.start, place.end, place.quote) for place in citation.places] == [(40, 56, "Reefs turn white")]
    assert citation.chunk is not None
    assert citation.chunk.text == "Reefs turn white when it is warm."
    assert citation.document is not None
    assert (citation.document.url, citation.document.title) == ("https://a.example/reefs", "Reefs")
    assert why.task is not None
    assert (why.task.id, why.task.type, why.task.state) == (FINISHED.id, "analysis", "succeeded")
    assert [(call.step, call.input_tokens, call.ms) for call in why.task.model_calls] == [
        ("plan", 90, 300),
        ("report", 900, 1_200),
    ]


async def test_an_unsupported_claim_cites_nothing_and_says_why() -> None:
    why = await Provenance(await graph()).why("acme", UNSUPPORTED)
    assert (why.citations, why.claim.supported, why.claim.reason) == ([], False, "it has no quote")


@pytest.mark.parametrize(("tenant", "id_"), [("globex", CLAIM), ("acme", FINISHED.id), ("acme", claim_id("x", 0))])
async def test_what_the_tenant_has_not_is_not_found(tenant: str, id_: str) -> None:
    with pytest.raises(ClaimNotFound):
        await Provenance(await graph()).why(tenant, id_)


async def test_an_outage_is_no_unknown_claim() -> None:
    store = await graph()
    store.down = True
    with pytest.raises(GraphUnavailable):
        await Provenance(store).why("acme", CLAIM)


async def test_the_route_answers_and_hides_other_tenants_claims() -> None:
    async with opened() as door:
        task = finished(WorkerType.ANALYSIS, RESULT, input=b'{"question":"Why?"}', tenant="default")
        await door.graph.write(records_of(task, CALLS).graph)
        answer = await door.http.get(f"/claims/{CLAIM}/why")
        assert answer.status_code == 200
        body = answer.json()
        assert body["citations"][0]["places"] == [{"start": 40, "end": 56, "quote": "Reefs turn white"}]
        for unknown in (claim_id("x", 0), "no-uuid", FINISHED.id):
            assert problem_of(await door.http.get(f"/claims/{unknown}/why"), 404)["code"] == "claim_not_found"
        described = (await door.http.get("/openapi.json")).json()["paths"]["/claims/{claim_id}/why"]["get"]
        assert described["responses"]["200"]["content"]["application/json"]["schema"] == {
            "$ref": "#/components/schemas/Why"
        }
