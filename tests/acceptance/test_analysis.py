"""Analyses of pages whose facts are known, by a model that lies now and then, on the whole stack."""

import hashlib
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.acceptance.stack import Stack, eventually, running_stack
from tests.servers.analyst import CHAR, DEPTH, FALSEHOODS, PAGES, RUMOUR, TRUTHS, Analyst
from tests.servers.model import ModelServer
from tests.servers.search_apis import ExaApi, Failure, Found, TavilyApi
from tests.servers.site import Site

TAVILY_KEY, EXA_KEY = "tvly-acceptance", "exa-acceptance"
QUESTION = "What is known of Lake Orrin, its depth and its fish, and of the village of Tarn and its dam?"
TENANTS = ("acme", "rival")
KEYS = ",".join(f"{tenant}:{hashlib.sha256(tenant.encode()).hexdigest()}" for tenant in TENANTS)


@dataclass
class Outside:
    """The services that the stack asks."""

    site: Site
    model: ModelServer
    analyst: Analyst
    tavily: TavilyApi
    exa: ExaApi

    @property
    def asked(self) -> tuple[int, int, int]:
        """How many pages, searches and model calls were asked for so far."""
        return self.site.hits.total(), len(self.tavily.requests) + len(self.exa.requests), len(self.model.calls)


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    analyst = Analyst()
    with Site() as site, ModelServer(writer=analyst) as model:
        site.pages.update(PAGES)
        found = [Found(site.url(path), None, "about Lake Orrin") for path in PAGES]
        with TavilyApi(TAVILY_KEY, found[:4]) as tavily, ExaApi(EXA_KEY, found[2:]) as exa:
            yield Outside(site, model, analyst, tavily, exa)


@pytest.fixture(scope="module")
def analyses(outside: Outside, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose tasks share no pages, so that the site's log shows what a task asked for. Its client is acme's."""
    settings = {
        "ALLOW_PRIVATE_HOSTS": "127.0.0.1", "LLM_BASE_URL": outside.model.url, "LEASE_S": "5",
        "TAVILY_API_KEY": TAVILY_KEY, "TAVILY_BASE_URL": outside.tavily.base_url,
        "EXA_API_KEY": EXA_KEY, "EXA_BASE_URL": outside.exa.base_url, "PAGE_CACHE_MAX_BYTES": "0",
        "API_KEYS": KEYS,
    }  # fmt: skip
    with running_stack(tmp_path_factory.mktemp("analyses") / "data", settings) as running:
        running.client.headers["Authorization"] = f"Bearer {TENANTS[0]}"
        yield running


@pytest.fixture(scope="module")
def first(analyses: Stack) -> dict[str, Any]:
    """The first task that asked the question."""
    return analyses.finished(analyses.submit("analysis", {"question": QUESTION, "search": "auto", "depth": 2}))


def cited_in(result: dict[str, Any], span: dict[str, Any]) -> str:
    """What the source has at the place that the span names."""
    source = result["sources"][span["source"] - 1]
    (text,) = {
        str(passage["text"][span["start"] - passage["start"] : span["end"] - passage["start"]])
        for passage in source["passages"]
        if passage["start"] <= span["start"] and span["end"] <= passage["start"] + len(passage["text"])
    }
    return text


def test_citations_say_what_they_are_cited_for_and_falsehoods_are_not_shown_as_supported(
    analyses: Stack, outside: Outside, first: dict[str, Any]
) -> None:
    assert first["state"] == "succeeded", first["error"]
    result = first["result"]

    paths = [source["url"].removeprefix(outside.site.base_url) for source in result["sources"]]
    assert sorted(paths) == sorted(PAGES)  # each page once, though both services found some of them
    claims = {claim["text"]: claim for claim in result["claims"]}
    assert set(claims) == {*TRUTHS, *FALSEHOODS}
    for truth in TRUTHS:
        (span,) = claims[truth]["spans"]
        assert claims[truth]["supported"]
        assert cited_in(result, span) == span["quote"] == truth.rstrip(".")
        assert truth in PAGES[paths[span["source"] - 1]]
    for falsehood in FALSEHOODS:
        assert (claims[falsehood]["supported"], claims[falsehood]["spans"]) == (False, [])
        assert claims[falsehood]["reason"]

    shown, _, unsupported = result["report"].partition("## Not supported by the sources")
    assert [falsehood for falsehood in FALSEHOODS if falsehood in shown] == []
    assert re.findall(r"\[\d+\]", unsupported) == []
    for truth in TRUTHS:
        (number,) = claims[truth]["sources"]
        assert f"{truth[:-1]} [{number}]." in shown

    (contradiction,) = result["contradictions"]
    assert {cited_in(result, span).rstrip(".") for span in contradiction["spans"]} == {DEPTH[:-1], RUMOUR[:-1]}

    why = analyses.client.get(f"/claims/{claims[CHAR]['id']}/why").json()
    (citation,) = why["citations"]
    assert citation["document"]["url"] == outside.site.url("/orrin/fish")
    assert CHAR in citation["chunk"]["text"]
    assert {call["step"] for call in why["task"]["model_calls"]} >= {"plan", "report", "check"}


def test_a_killed_analysis_goes_on_and_asks_for_nothing_again(analyses: Stack, outside: Outside) -> None:
    pages = Counter(outside.site.hits)
    calls, searches = len(outside.model.calls), (len(outside.tavily.requests), len(outside.exa.requests))
    outside.analyst.asked.clear()
    outside.analyst.held.set()
    outside.tavily.failures.extend([Failure(500)] * 20)
    try:
        task_id = analyses.submit("analysis", {"question": f"Tell me: {QUESTION}", "search": "auto", "depth": 1})
        assert outside.analyst.asked.wait(60)
    finally:
        outside.analyst.held.clear()
        outside.tavily.failures.clear()
    asked = (len(outside.tavily.requests), len(outside.exa.requests))
    assert asked[1] > searches[1]
    os.kill(analyses.ready["pids"]["worker"], signal.SIGKILL)

    task = eventually(lambda: _stored(analyses, task_id), "the analysis is stored")
    assert (task["state"], task["attempts"]) == ("succeeded", 2)
    assert {notice["code"] for notice in task["result"]["warnings"]} == {"search"}  # Tavily had failed
    read = {source["url"].removeprefix(outside.site.base_url) for source in task["result"]["sources"]}
    assert read
    hits = Counter(outside.site.hits) - pages
    assert {path: hits[path] for path in PAGES if hits[path]} == dict.fromkeys(read, 1)
    assert (len(outside.tavily.requests), len(outside.exa.requests)) == asked
    keys = Counter(call.idempotency_key for call in outside.model.calls[calls:])
    assert keys.pop(f"{task_id}:report") == 2  # its first answer never came
    assert keys
    assert set(keys.values()) == {1}


def test_the_same_question_is_answered_by_what_was_done_before(
    analyses: Stack, outside: Outside, first: dict[str, Any]
) -> None:
    before, found = outside.asked, _found(analyses)

    asked = {"question": QUESTION.upper(), "search": "auto", "depth": 1}
    task = analyses.finished(analyses.submit("analysis", asked))

    assert outside.asked == before
    assert task["usage"] == {"input_tokens": 0, "output_tokens": 0, "usd": 0.0}
    result, earlier = task["result"], first["result"]
    for part in ("report", "claims", "sources", "contradictions", "questions", "warnings"):
        assert result[part] == earlier[part]
    reused, spent = result["reused"], first["usage"]
    assert (reused["task_id"], reused["question"], reused["created_at"]) == (first["id"], QUESTION, first["created_at"])
    assert 0 < reused["age_s"] < 600
    assert reused["saved"] == {
        **earlier["work"], "tokens": spent["input_tokens"] + spent["output_tokens"], "usd": spent["usd"],
    }  # fmt: skip
    assert earlier["work"]["fetches"] == len(PAGES)
    assert min(earlier["work"].values()) > 0
    counted = analyses.client.get("/metrics").text
    assert 'codeforge_results_reused_total{type="analysis"} 1.0' in counted
    assert f'codeforge_reuse_saved_total{{what="fetches"}} {len(PAGES)}.0' in counted
    edges = analyses.client.get(f"/tasks/{task['id']}/graph").json()["edges"]
    assert [(edge["type"], edge["to"]) for edge in edges if edge["from"] == task["id"]] == [("REUSED", first["id"])]
    assert _found(analyses) == found
    why = analyses.client.get(f"/claims/{result['claims'][0]['id']}/why").json()
    assert why["task"]["id"] == first["id"]


@pytest.mark.parametrize(("tenant", "more"), [("rival", {}), ("acme", {"reuse": False})])
def test_who_may_not_or_will_not_have_it_has_the_work_done(
    analyses: Stack, outside: Outside, first: dict[str, Any], tenant: str, more: dict[str, Any]
) -> None:
    before, key = outside.asked, {"Authorization": f"Bearer {tenant}"}
    body = {"type": "analysis", "input": {"question": QUESTION, "search": "auto", "depth": 1, **more}}
    task_id = analyses.client.post("/tasks", json=body, headers=key).json()["id"]

    task = eventually(
        lambda: _ended(analyses.client.get(f"/tasks/{task_id}", headers=key).json()), "the analysis ended"
    )
    assert task["state"] == "succeeded", task["error"]
    assert task["result"]["reused"] is None
    assert [now > then for now, then in zip(outside.asked, before, strict=True)] == [True] * 3


def test_a_vector_store_that_hangs_is_a_warning(analyses: Stack) -> None:
    vectors = analyses.ready["pids"]["vectors"]
    os.kill(vectors, signal.SIGSTOP)
    try:
        task_id = analyses.submit("analysis", {"question": "How deep is Lake Orrin?", "search": "auto"})
        task = eventually(lambda: _ended(analyses.task(task_id)), "the analysis ended")
    finally:
        os.kill(vectors, signal.SIGCONT)
    assert task["state"] == "succeeded", task["error"]
    assert "reuse_unavailable" in {notice["code"] for notice in task["result"]["warnings"]}


def _found(stack: Stack) -> list[tuple[str, str]]:
    """What a search for the subject shows."""
    items = stack.client.get("/search", params={"q": "silver char of Lake Orrin", "limit": 50}).json()["items"]
    return sorted((item["task_id"], item["text"]) for item in items)


def _ended(task: dict[str, Any]) -> dict[str, Any] | None:
    return task if task["state"] not in ("queued", "running") else None


def _stored(stack: Stack, task_id: str) -> dict[str, Any] | None:
    task = stack.task(task_id)
    return task if task["stored"] else None
