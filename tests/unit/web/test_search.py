"""Web search against local services in the providers' wire formats."""

import asyncio
import json
import logging
import re
import socket
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import pytest
from pydantic import SecretStr

from codeforge.agent import SearchReply, WebSearch
from codeforge.errors import SearchError
from codeforge.settings import Settings
from codeforge.web import search_connection
from codeforge.web.search import ConfiguredSearch
from codeforge.web.search_connection import SearchLimits
from tests.servers.search_apis import ExaApi, Failure, Found, SearchApi, TavilyApi

TAVILY_KEY = "tvly-secret-0123456789"
EXA_KEY = "exa-secret-0123456789"
LIMITS = SearchLimits(total_s=60.0, attempt_s=20.0, attempts=3, delay_s=0.01, retry_after_s=1.5)

Provider = Literal["auto", "tavily", "exa"]


@pytest.fixture(autouse=True)
def _no_keys_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TAVILY_API_KEY", "EXA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"CODEFORGE_{name}", raising=False)


@pytest.fixture
def tavily() -> Iterator[TavilyApi]:
    with TavilyApi(
        TAVILY_KEY,
        [
            Found("https://a.example/1", "One", "first  words\nof one"),
            Found("https://shared.example/", "Shared", "from Tavily"),
            Found("ftp://files.example/", "No page", "left out"),
        ],
    ) as api:
        yield api


@pytest.fixture
def exa() -> Iterator[ExaApi]:
    with ExaApi(
        EXA_KEY, [Found("https://SHARED.example", None, "from Exa"), Found("https://b.example/2", "Two", "two")]
    ) as api:
        yield api


def settings(tavily: SearchApi | None = None, exa: SearchApi | None = None, **keys: str) -> Settings:
    given: dict[str, object] = {}
    if tavily is not None:
        given |= {"tavily_base_url": tavily.base_url, "tavily_api_key": SecretStr(keys.get("tavily_key", TAVILY_KEY))}
    if exa is not None:
        given |= {"exa_base_url": exa.base_url + "/", "exa_api_key": SecretStr(keys.get("exa_key", EXA_KEY))}
    return Settings(**given)  # type: ignore[arg-type]


def search(given: Settings, provider: Provider = "auto", *, limit: int = 10, query: str = "bread") -> SearchReply:
    async def run() -> SearchReply:
        service: WebSearch = ConfiguredSearch(given, LIMITS)
        try:
            return await service.search(query, provider=provider, limit=limit)
        finally:
            await service.close()

    return asyncio.run(run())


def failure(given: Settings, provider: Provider = "auto") -> SearchError:
    with pytest.raises(SearchError) as caught:
        search(given, provider)
    return caught.value


def test_tavily_hits_are_read_and_what_is_no_page_is_left_out(tavily: TavilyApi) -> None:
    reply = search(settings(tavily), "tavily")
    assert [(hit.url, hit.title, hit.snippet) for hit in reply.hits] == [
        ("https://a.example/1", "One", "first words of one"),
        ("https://shared.example/", "Shared", "from Tavily"),
    ]
    assert reply.warnings == []
    assert tavily.requests == [{"query": "bread", "max_results": 10, "search_depth": "basic"}]


def test_exa_hits_are_read(exa: ExaApi) -> None:
    reply = search(settings(exa=exa), "exa", limit=1)
    assert [(hit.url, hit.title, hit.snippet) for hit in reply.hits] == [("https://SHARED.example", "", "from Exa")]
    assert exa.requests[0]["numResults"] == 1


def test_auto_asks_both_takes_turns_and_names_each_page_once(tavily: TavilyApi, exa: ExaApi) -> None:
    reply = search(settings(tavily, exa))
    assert [hit.url for hit in reply.hits] == [
        "https://a.example/1",
        "https://SHARED.example",
        "https://b.example/2",
    ]
    assert len(search(settings(tavily, exa), limit=2).hits) == 2


def test_auto_with_one_key_asks_that_one_only(tavily: TavilyApi, exa: ExaApi) -> None:
    assert len(search(settings(exa=exa)).hits) == 2
    assert tavily.requests == []


def test_one_failing_service_is_a_warning(tavily: TavilyApi, exa: ExaApi) -> None:
    tavily.failures.extend([Failure(432)])
    reply = search(settings(tavily, exa))
    assert [hit.url for hit in reply.hits] == ["https://SHARED.example", "https://b.example/2"]
    assert reply.warnings == ["Tavily answered 432: This request exceeds your plan's set usage limit."]


def test_all_failing_is_an_error_that_is_worth_a_retry_when_one_is(tavily: TavilyApi, exa: ExaApi) -> None:
    tavily.failures.append(Failure(432))
    exa.failures.extend([Failure(500)] * 3)
    error = failure(settings(tavily, exa))
    assert (error.code, error.retryable) == ("search_unavailable", True)
    assert "Tavily answered 432" in error.message
    assert "Exa answered 500: Internal error" in error.message


@pytest.mark.parametrize(
    ("provider", "named"),
    [
        ("auto", "CODEFORGE_TAVILY_API_KEY or CODEFORGE_EXA_API_KEY"),
        ("tavily", "CODEFORGE_TAVILY_API_KEY"),
        ("exa", "CODEFORGE_EXA_API_KEY"),
    ],
)
def test_without_a_key_the_error_names_the_settings(provider: Provider, named: str) -> None:
    error = failure(settings(), provider)
    with pytest.raises(SearchError, match=re.escape(error.message)):
        ConfiguredSearch(settings()).require(provider)
    assert (error.code, error.retryable) == ("search_not_configured", False)
    assert error.message.endswith(f"set {named}")


def test_a_provider_without_its_key_is_not_replaced_by_the_other(tavily: TavilyApi) -> None:
    assert failure(settings(tavily), "exa").code == "search_not_configured"
    assert tavily.requests == []


@pytest.mark.parametrize("passing", [Failure(500), Failure(503), Failure(429), Failure(200, drop=True)])
def test_a_passing_fault_is_tried_again(tavily: TavilyApi, passing: Failure) -> None:
    tavily.failures.extend([passing, passing])
    assert search(settings(tavily)).hits
    assert len(tavily.requests) == 3


@pytest.mark.parametrize(
    ("lasting", "code"),
    [
        (Failure(500), "search_unavailable"),
        (Failure(429), "search_rate_limited"),
        (Failure(200, drop=True), "search_unavailable"),
    ],
)
def test_attempts_are_bounded(tavily: TavilyApi, lasting: Failure, code: str) -> None:
    tavily.failures.extend([lasting] * 9)
    error = failure(settings(tavily))
    assert (error.code, error.retryable) == (code, True)
    assert len(tavily.requests) == 3


def test_retry_after_is_kept(tavily: TavilyApi) -> None:
    tavily.failures.append(Failure(429, headers={"Retry-After": "1"}))
    started = time.monotonic()
    assert search(settings(tavily)).hits
    assert time.monotonic() - started >= 1.0


def test_a_long_retry_after_is_not_waited_for(tavily: TavilyApi) -> None:
    tavily.failures.append(Failure(429, headers={"Retry-After": "3600"}))
    started = time.monotonic()
    assert failure(settings(tavily)).code == "search_rate_limited"
    assert time.monotonic() - started < 30.0
    assert len(tavily.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 402, 403])
def test_a_refusal_is_not_tried_again(exa: ExaApi, status: int) -> None:
    exa.failures.append(Failure(status))
    error = failure(settings(exa=exa))
    assert (error.code, error.retryable) == ("search_refused", False)
    assert len(exa.requests) == 1


DEEP = pytest.param(b"[" * 100_000, id="deep")


@pytest.mark.parametrize("body", [b"<html>busy</html>", b"[]", DEEP, b"{}", b'{"results": [{"title": "no url"}]}'])
def test_nonsense_is_an_error(tavily: TavilyApi, body: bytes) -> None:
    tavily.failures.append(Failure(200, body=body))
    assert failure(settings(tavily)).code == "search_bad_output"


@pytest.mark.parametrize("status", [200, 500])
def test_no_more_of_an_answer_is_read_than_it_may_have(
    tavily: TavilyApi, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(search_connection, "MAX_ANSWER_BYTES", 1_000)
    found = {"results": [{"url": "https://a.example/1", "content": "x" * 1_000}]}
    tavily.failures.append(Failure(status, body=json.dumps(found).encode()))
    assert failure(settings(tavily)).code == "search_bad_output"


@pytest.mark.parametrize("bad", [{"title": "no url"}, {"url": 5}, {"url": "https://c.example", "title": []}, None, "x"])
def test_a_hit_that_cannot_be_read_is_counted_and_the_others_are_kept(tavily: TavilyApi, exa: ExaApi, bad: Any) -> None:
    good = {"url": "https://a.example/1", "title": "One", "content": "words", "highlights": ["words"]}
    for api in (tavily, exa):
        api.failures.append(Failure(200, body=json.dumps({"results": [bad, good, bad]}).encode()))
    reply = search(settings(tavily, exa))
    assert [(hit.url, hit.title, hit.snippet) for hit in reply.hits] == [("https://a.example/1", "One", "words")]
    told = "2 of 3 results could not be read"
    assert reply.warnings == [f"Tavily: {told}", f"Exa: {told}"]


def test_no_key_in_errors_and_logs_even_when_the_service_repeats_it(
    tavily: TavilyApi, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = "tvly-wrong-key-9876543210"
    tavily.key = wrong + "-other"
    with caplog.at_level(logging.DEBUG):
        error = failure(settings(tavily, tavily_key=wrong))
    assert error.code == "search_refused"
    assert "***" in error.message
    told = "".join(traceback.format_exception(error)) + repr(error) + caplog.text
    assert wrong not in told


def test_a_long_query_is_cut_to_what_tavily_takes(tavily: TavilyApi) -> None:
    assert search(settings(tavily), query="why " * 500).hits
    assert len(tavily.requests[0]["query"]) == 400


def test_a_service_that_hangs_ends_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        given = Settings(
            tavily_base_url=f"http://127.0.0.1:{silent.getsockname()[1]}", tavily_api_key=SecretStr(TAVILY_KEY)
        )

        async def run() -> None:
            service = ConfiguredSearch(given, replace(LIMITS, total_s=0.3))
            try:
                await service.search("bread", provider="auto", limit=3)
            finally:
                await service.close()

        with pytest.raises(SearchError, match="did not answer in time"):
            asyncio.run(run())
