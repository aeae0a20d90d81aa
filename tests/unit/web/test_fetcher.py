"""The fetcher against a local site that behaves well and badly."""

import asyncio
import ssl
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from codeforge.agent import FetchTerms
from codeforge.errors import FetchError
from codeforge.results import Page
from codeforge.web import download
from codeforge.web.connections import GuardedBackend, GuardedConnections
from codeforge.web.download import DownloadLimits
from codeforge.web.fetcher import FetchLimits, GuardedFetcher
from codeforge.web.guard import AddressGuard
from tests.patience import PATIENCE_S
from tests.servers.site import Site

QUICK = DownloadLimits(total_s=60.0, retry_delay_s=0.01, retry_after_s=3.0)


@pytest.fixture(scope="module")
def shared_site() -> Iterator[Site]:
    with Site() as served:
        yield served


@pytest.fixture
def site(shared_site: Site) -> Site:
    shared_site.hits.clear()
    return shared_site


def fetcher_of(limits: FetchLimits) -> GuardedFetcher:
    """Without the certificates of the authorities, which take longer to load than all else here."""
    guard = AddressGuard(["127.0.0.1"])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    connections = GuardedConnections(GuardedBackend(guard), limit=limits.pages_at_once, ssl_context=tls)
    return GuardedFetcher(guard, limits=limits, connections=connections)


def fetch_all(*urls: str, page: DownloadLimits = QUICK) -> list[Page]:
    async def run() -> list[Page]:
        fetcher = fetcher_of(FetchLimits(page=page))
        try:
            return [await fetcher.fetch(url, mode="auto") for url in urls]
        finally:
            await fetcher.close()

    return asyncio.run(run())


def fetch(url: str, page: DownloadLimits = QUICK) -> Page:
    return fetch_all(url, page=page)[0]


def failure(url: str, page: DownloadLimits = QUICK) -> FetchError:
    with pytest.raises(FetchError) as caught:
        fetch(url, page)
    assert caught.value.url == url
    return caught.value


def test_a_page_has_every_field(site: Site) -> None:
    page = fetch(site.url("/bread"))
    assert page.url == page.final_url == site.url("/bread")
    assert (page.status_code, page.method, page.js_rendered) == (200, "standard", False)
    assert page.title == "Baking sourdough bread"
    assert "wild yeasts" in page.markdown
    assert page.links == [site.url(path) for path in ("/", "/volcano", "/bicycle")]
    assert len(page.content_hash) == 64


def test_fragments_do_not_reach_the_server_and_the_url_stays_as_given(site: Site) -> None:
    page = fetch(site.url("/bread?q=1#crust"))
    assert page.url == site.url("/bread?q=1#crust")
    assert page.final_url == site.url("/bread?q=1")


@pytest.mark.parametrize("hops", [1, 5])
def test_redirects_are_followed(site: Site, hops: int) -> None:
    page = fetch(site.url(f"/redirect/{hops}"))
    assert page.url == site.url(f"/redirect/{hops}")
    assert page.final_url == site.url("/bread")


def test_more_than_five_redirects_are_not_followed(site: Site) -> None:
    assert failure(site.url("/redirect/6")).code == "too_many_redirects"
    assert site.hits["/bread"] == 0


def test_a_circle_of_redirects_is_seen_at_once(site: Site) -> None:
    assert failure(site.url("/loop")).code == "redirect_loop"
    assert site.hits["/loop"] == 1
    assert failure(site.url("/circle/1")).code == "redirect_loop"
    assert (site.hits["/circle/1"], site.hits["/circle/2"]) == (1, 1)


@pytest.mark.parametrize(
    ("path", "code", "retryable"),
    [
        ("/to-private", "blocked_address", False),
        ("/to-nowhere", "bad_response", False),
        ("/to?url=http://[::g]/", "invalid_url", False),
        ("/to?url=http://example.org:99999/", "invalid_url", False),
        ("/missing", "http_status", False),
        ("/status/410", "http_status", False),
        ("/status/500", "http_status", True),
        ("/status/304", "bad_response", False),
        ("/status/401", "http_401", False),
        ("/status/403", "http_403", False),
        ("/busy", "http_429", True),
        ("/unavailable", "http_503", True),
        ("/challenged", "challenge", False),
        ("/challenge/captcha", "challenge", False),
        ("/pdf", "bad_response", False),
        ("/image", "unsupported_content_type", False),
        ("/huge", "too_large", False),
        ("/huge-declared", "too_large", False),
        ("/bomb", "too_large", False),
        ("/double-bomb", "too_large", False),
        ("/brotli", "bad_response", False),
        ("/cut-gzip", "bad_response", False),
        ("/drop", "bad_response", True),
        ("/garbage", "bad_response", True),
        ("/truncated", "bad_response", True),
    ],
)
def test_failures_have_their_code(site: Site, path: str, code: str, retryable: bool) -> None:
    error = failure(site.url(path))
    assert (error.code, error.retryable) == (code, retryable)


def test_a_refusal_is_judged_off_the_event_loop(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def off_the_loop(headers: object, html: str) -> bool:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return True
        return False

    monkeypatch.setattr(download, "is_challenge", off_the_loop)
    assert failure(site.url("/status/403")).code == "challenge"


def test_a_redirect_that_is_refused_says_where_it_leads(site: Site) -> None:
    message = "the page's redirect names an address that is private (10.0.0.1)"
    assert failure(site.url("/to-private")).message == message


def test_status_messages_tell_status_and_wait(site: Site) -> None:
    assert failure(site.url("/missing")).message == "the server answered 404 Not Found"
    assert failure(site.url("/busy")).message == "the server answered 429 Too Many Requests and asks to wait for 7 s"


def test_a_page_that_no_step_of_the_journal_could_hold_fails_alone(site: Site) -> None:
    site.pages["/quotes"] = '"' * 2_097_140  # two characters each in JSON
    try:
        assert failure(site.url("/quotes")).code == "too_large"
    finally:
        site.pages.clear()


@pytest.mark.parametrize("path", ["/unavailable-once", "/drop-once"])
def test_a_passing_fault_is_tried_once_more(site: Site, path: str) -> None:
    assert fetch(site.url(path)).title == "Baking sourdough bread"
    assert site.hits[path] == 2


@pytest.mark.parametrize(
    ("path", "times"), [("/unavailable", 2), ("/drop", 2), ("/busy", 1), ("/status/500", 1), ("/unavailable-long", 1)]
)
def test_tries_are_bounded(site: Site, path: str, times: int) -> None:
    failure(site.url(path))
    assert site.hits[path] == times


@pytest.mark.parametrize("path", ["/slow", "/drip"])
def test_one_deadline_bounds_it_all(site: Site, path: str) -> None:
    started = time.monotonic()
    error = failure(site.url(path), replace(QUICK, total_s=0.5))
    assert (error.code, error.retryable) == ("timeout", True)
    assert time.monotonic() - started < 30.0


def test_a_bomb_never_takes_more_memory_than_the_cap(site: Site) -> None:
    """128 MiB of zeros, once and twice compressed; the site makes them before the measurement starts."""
    for path in ("/bomb", "/double-bomb"):
        failure(site.url(path))
        tracemalloc.start()
        failure(site.url(path))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4 * QUICK.body_bytes


@pytest.mark.parametrize("path", ["/gzip", "/deflate", "/raw-deflate", "/no-type"])
def test_codings_and_a_missing_type_are_read(site: Site, path: str) -> None:
    assert "wild yeasts" in fetch(site.url(path)).markdown or path == "/no-type"
    assert fetch(site.url(path)).title in ("Baking sourdough bread", "No type")


@pytest.mark.parametrize("path", ["/latin1", "/latin1-undeclared", "/latin1-meta", "/base64-charset"])
def test_character_sets(site: Site, path: str) -> None:
    page = fetch(site.url(path))
    assert page.title == "Caf\xe9"
    assert "Cr\xe8me br\xfbl\xe9e" in page.markdown


def test_a_wrong_character_set_costs_letters_not_the_page(site: Site) -> None:
    assert "Cr\ufffdme" in fetch(site.url("/wrong-charset")).markdown


def test_small_and_empty_pages(site: Site) -> None:
    empty, tiny = fetch_all(site.url("/empty"), site.url("/tiny"))
    assert (empty.title, empty.markdown, empty.links) == ("", "", [])
    assert tiny.markdown == "Just this."


def test_text_and_markdown_are_taken_as_they_are(site: Site) -> None:
    plain, markdown = fetch_all(site.url("/plain"), site.url("/markdown"))
    assert plain.markdown == "Plain words.\nSecond line."
    assert (markdown.title, markdown.markdown) == ("A note", "# A note\n\nWith *emphasis*.")


def test_nothing_passes_from_one_page_to_the_next(site: Site) -> None:
    first, second = fetch_all(site.url("/headers"), site.url("/headers"))
    assert "cookie" not in second.markdown.lower()
    assert first.markdown == second.markdown
    assert "user-agent: codeforge/" in first.markdown.lower()
    assert f"host: 127.0.0.1:{site.port}" in first.markdown.lower()


def test_the_environments_proxies_are_not_used(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert fetch(site.url("/bread")).status_code == 200


def test_rendering_is_not_configured(site: Site) -> None:
    async def run() -> None:
        fetcher = fetcher_of(FetchLimits())
        try:
            await fetcher.fetch(site.url("/bread"), mode="rendered")
        finally:
            await fetcher.close()

    with pytest.raises(FetchError) as caught:
        asyncio.run(run())
    assert caught.value.code == "render_not_configured"
    assert site.hits["/bread"] == 0


def test_an_unreachable_server_is_a_connect_failure() -> None:
    error = failure("http://127.0.0.1:1/")
    assert (error.code, error.retryable) == ("connect_failed", True)


def test_pages_wait_their_turn_and_no_longer(site: Site) -> None:
    async def run() -> list[Page | BaseException]:
        limits = FetchLimits(page=QUICK, pages_at_once=1, wait_s=0.2)
        fetcher = fetcher_of(limits)
        urls = [site.url("/short-wait"), site.url("/bread")]
        try:
            return await asyncio.gather(*(fetcher.fetch(url, mode="auto") for url in urls), return_exceptions=True)
        finally:
            await fetcher.close()

    first, second = asyncio.run(run())
    assert isinstance(first, Page)
    assert isinstance(second, FetchError)
    assert (second.code, second.retryable) == ("timeout", True)


def test_no_page_waits_for_its_turn_longer_than_its_task_has(site: Site) -> None:
    async def run() -> Page:
        fetcher = fetcher_of(FetchLimits(page=QUICK, pages_at_once=1, wait_s=300.0))
        first = asyncio.create_task(fetcher.fetch(site.url("/slow"), mode="auto"))
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not site.hits["/slow"]:  # noqa: ASYNC110  # counted in the site's thread
                    await asyncio.sleep(0.01)
            soon = FetchTerms(deadline=time.monotonic() + 0.1)
            return await fetcher.fetch(site.url("/bread"), mode="auto", terms=soon)
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await fetcher.close()

    with pytest.raises(FetchError, match="the task's time for fetching was over") as caught:
        asyncio.run(run())
    assert (caught.value.code, caught.value.retryable, site.hits["/bread"]) == ("timeout", True, 0)


def test_cancelling_a_fetch_frees_its_place_and_connection(site: Site) -> None:
    async def run() -> Page:
        limits = FetchLimits(page=QUICK, pages_at_once=1)
        fetcher = fetcher_of(limits)
        task = asyncio.create_task(fetcher.fetch(site.url("/slow"), mode="auto"))
        async with asyncio.timeout(PATIENCE_S):
            while not site.hits["/slow"]:  # noqa: ASYNC110  # counted in the site's thread
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        try:
            return await fetcher.fetch(site.url("/bread"), mode="auto")
        finally:
            await fetcher.close()

    assert asyncio.run(run()).status_code == 200


def test_many_pages_at_once_over_one_client(site: Site) -> None:
    async def run() -> list[Page]:
        fetcher = fetcher_of(FetchLimits(page=QUICK, pages_at_once=20))
        try:
            pages = (fetcher.fetch(site.url(f"/bread?n={number}"), mode="auto") for number in range(100))
            return await asyncio.gather(*pages)
        finally:
            await fetcher.close()

    assert len({page.url for page in asyncio.run(run())}) == 100
    assert site.hits["/bread"] == 100
