"""Analyses of pages whose facts are known, by a model that lies now and then, on the whole stack."""

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


@dataclass
class Outside:
    """The services that the stack asks."""

    site: Site
    model: ModelServer
    analyst: Analyst
    tavily: TavilyApi
    exa: ExaApi


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
    """A stack whose tasks share no pages, so that the site's log shows what a task asked for."""
    settings = {
        "ALLOW_PRIVATE_HOSTS": "127.0.0.1", "LLM_BASE_URL": outside.model.url, "LEASE_S": "3",
        "TAVILY_API_KEY": TAVILY_KEY, "TAVILY_BASE_URL": outside.tavily.base_url,
        "EXA_API_KEY": EXA_KEY, "EXA_BASE_URL": outside.exa.base_url, "PAGE_CACHE_MAX_BYTES": "0",
    }  # fmt: skip
    with running_stack(tmp_path_factory.mktemp("analyses") / "data", settings) as running:
        yield running


def cited_in(result: dict[str, Any], span: dict[str, Any]) -> str:
    """What the source has at the place that the span names."""
    source = result["sources"][span["source"] - 1]
    (text,) = {
        passage["text"][span["start"] - passage["start"] : span["end"] - passage["start"]]
        for passage in source["passages"]
        if passage["start"] <= span["start"] and span["end"] <= passage["start"] + len(passage["text"])
    }
    return text


def test_citations_say_what_they_are_cited_for_and_falsehoods_are_not_shown_as_supported(
    analyses: Stack, outside: Outside
) -> None:
    task = analyses.finished(analyses.submit("analysis", {"question": QUESTION, "search": "auto", "depth": 2}))
    assert task["state"] == "succeeded", task["error"]
    result = task["result"]

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
        task_id = analyses.submit("analysis", {"question": QUESTION, "search": "auto", "depth": 1})
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


def _stored(stack: Stack, task_id: str) -> dict[str, Any] | None:
    task = stack.task(task_id)
    return task if task["stored"] else None
