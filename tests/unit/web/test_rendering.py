"""Which way a page is fetched, and ZenRows in its wire format."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import pytest
from pydantic import SecretStr

from codeforge.agent import FetchTerms, RenderAllowance
from codeforge.errors import FetchError
from codeforge.results import Page
from codeforge.web.connections import GuardedBackend, GuardedConnections
from codeforge.web.fetcher import GuardedFetcher
from codeforge.web.guard import AddressGuard
from codeforge.web.memory_pages import MemoryPages
from codeforge.web.shared_pages import SharedPages, SharingLimits
from codeforge.web.zenrows import RenderLimits, RenderOptions, ZenRows
from tests.servers.articles import BREAD, article
from tests.servers.celery_worker import wait_until
from tests.servers.site import Site
from tests.servers.unrendered import CHALLENGES
from tests.servers.zenrows import Browsed, ZenRowsApi

Mode = Literal["auto", "standard", "rendered"]
QUICK = RenderLimits(total_s=60.0, delay_s=0.01)
LOAF = article("Rendered bread", BREAD, [("/volcano", "Volcanoes")])


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site() as served:
        yield served


@pytest.fixture
def api(site: Site) -> Iterator[ZenRowsApi]:
    rendered = {site.url(path): Browsed(LOAF) for path in ("/app/react", "/notice/noscript", "/bread", "/skeleton")}
    walled = {site.url(path): Browsed(LOAF, needs_premium=True) for path in ("/challenge/cloudflare", "/challenged")}
    with ZenRowsApi(pages={**rendered, **walled}) as service:
        yield service


def fetch_all(
    *urls: str,
    api: ZenRowsApi | None,
    mode: Mode = "auto",
    options: RenderOptions | None = None,
    limits: RenderLimits = QUICK,
    terms: FetchTerms | None = None,
    sharing: SharedPages | None = None,
) -> list[Page | FetchError]:
    async def run() -> list[Page | FetchError]:
        guard = AddressGuard(["127.0.0.1"])
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        connections = GuardedConnections(GuardedBackend(guard), limit=20, ssl_context=tls)
        renderer = None if api is None else ZenRows(api.base_url, SecretStr("zenrows-key"), options, limits)
        fetcher = GuardedFetcher(guard, connections=connections, renderer=renderer, sharing=sharing)
        try:
            found = await asyncio.gather(
                *(fetcher.fetch(url, mode=mode, terms=terms or FetchTerms()) for url in urls), return_exceptions=True
            )
        finally:
            await fetcher.close()
        assert all(isinstance(one, Page | FetchError) for one in found), found
        return [one for one in found if isinstance(one, Page | FetchError)]

    return asyncio.run(run())


def page_of(found: Page | FetchError) -> Page:
    assert isinstance(found, Page), found
    return found


def error_of(found: Page | FetchError) -> FetchError:
    assert isinstance(found, FetchError), found
    assert "zenrows-key" not in f"{found!r} {found.__cause__!r} {found.__context__!r}"
    return found


def test_a_page_that_has_its_text_is_not_rendered(site: Site, api: ZenRowsApi) -> None:
    page = page_of(fetch_all(site.url("/bread"), api=api)[0])
    assert (page.method, page.js_rendered, page.method_reason, page.cost) == ("standard", False, "", 0.0)
    assert api.requests == []


def test_an_empty_application_is_rendered_and_says_why_and_what_it_cost(site: Site, api: ZenRowsApi) -> None:
    page = page_of(fetch_all(site.url("/app/react"), api=api)[0])
    assert (page.method, page.js_rendered, page.title) == ("zenrows", True, "Rendered bread")
    assert "wild yeasts" in page.markdown
    assert page.links == [site.url("/volcano")]
    assert page.method_reason == "the page is an empty application that its scripts fill"
    assert page.cost == pytest.approx(0.0014)
    assert api.requests == [
        {
            "apikey": "zenrows-key", "url": site.url("/app/react"), "js_render": "true", "original_status": "true",
            "wait": "2000", "block_resources": "image,media,font",
        }
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["/challenge/cloudflare", "/challenged"])
def test_a_challenge_is_met_with_premium_proxies(site: Site, api: ZenRowsApi, path: str) -> None:
    page = page_of(fetch_all(site.url(path), api=api, options=RenderOptions(proxy_country="se", wait_ms=0))[0])
    assert page.title == "Rendered bread"
    assert "challenge" in page.method_reason
    assert (api.requests[0]["premium_proxy"], api.requests[0]["proxy_country"]) == ("true", "se")
    assert page.cost == pytest.approx(0.007)


def test_standard_never_renders_and_never_judges(site: Site, api: ZenRowsApi) -> None:
    page = page_of(fetch_all(site.url("/app/react"), api=api, mode="standard")[0])
    assert (page.method, page.method_reason) == ("standard", "")
    assert api.requests == []


def test_rendered_renders_at_once(site: Site, api: ZenRowsApi) -> None:
    site.hits.clear()
    page = page_of(fetch_all(site.url("/bread"), api=api, mode="rendered")[0])
    assert (page.method, page.method_reason) == ("zenrows", "rendering was asked for")
    assert site.hits["/bread"] == 0


def test_without_a_key_an_application_is_given_as_it_is_and_says_so(site: Site) -> None:
    page = page_of(fetch_all(site.url("/notice/noscript"), api=None)[0])
    assert page.method == "standard"
    assert page.method_reason.startswith("the page says that it needs JavaScript; it was not rendered: no service")


def test_without_a_key_a_challenge_is_no_page(site: Site) -> None:
    for path in ("/challenge/cloudflare", "/challenged"):
        assert error_of(fetch_all(site.url(path), api=None)[0]).code == "challenge"


def test_a_challenge_that_rendering_does_not_pass_is_no_page(site: Site, api: ZenRowsApi) -> None:
    url = site.url("/challenge/captcha")
    api.pages[url] = Browsed(CHALLENGES["/challenge/captcha"])
    error = error_of(fetch_all(url, api=api)[0])
    assert (error.code, error.retryable) == ("challenge", False)


def test_a_task_has_only_so_many_pages_rendered(site: Site, api: ZenRowsApi) -> None:
    terms = FetchTerms(renders=RenderAllowance(1))
    urls = [site.url("/app/react"), site.url("/notice/noscript")]
    pages = [page_of(found) for found in fetch_all(*urls, api=api, terms=terms)]
    assert sorted(page.method for page in pages) == ["standard", "zenrows"]
    assert any("used up" in page.method_reason for page in pages)
    assert error_of(fetch_all(urls[0], api=api, mode="rendered", terms=terms)[0]).code == "render_limit"
    assert len(api.requests) == 1


@pytest.mark.parametrize(("path", "mode"), [("/app/react", "auto"), ("/challenged", "auto"), ("/bread", "rendered")])
def test_what_forbids_a_payment_is_heard_before_it(site: Site, api: ZenRowsApi, path: str, mode: Mode) -> None:
    asked: list[int] = []

    async def refuse() -> None:
        asked.append(len(api.requests))
        raise FetchError("no", code="refused", url=path)

    fetch_all(site.url(path), api=api, mode=mode, terms=FetchTerms(before_payment=refuse))
    assert (asked, api.requests) == ([0], [])
    fetch_all(site.url("/bread"), api=api, terms=FetchTerms(before_payment=refuse))
    assert len(asked) == 1  # what is not rendered is free


@pytest.mark.parametrize("path", ["/app/react", "/challenged"])
def test_that_a_task_has_no_rendering_left_is_not_shared(site: Site, api: ZenRowsApi, path: str) -> None:
    sharing = SharedPages(MemoryPages(), SharingLimits(age_s=60.0))
    spent, fresh = (FetchTerms("acme", renders=RenderAllowance(pages)) for pages in (0, 1))
    fetch_all(site.url(path), api=api, terms=spent, sharing=sharing)
    assert page_of(fetch_all(site.url(path), api=api, terms=fresh, sharing=sharing)[0]).method == "zenrows"


@pytest.mark.parametrize(
    ("answers", "code", "retryable", "requests"),
    [
        (["AUTH002"], "render_refused", False, 1),
        (["AUTH004"], "render_refused", False, 1),
        (["REQS001"], "render_refused", False, 1),
        (["AUTH006"] * 3, "render_rate_limited", True, 3),
        (["RESP001"] * 3, "render_failed", True, 3),
        (["CTX0002"] * 3, "render_failed", True, 3),
        (["RESP003"], "too_large", False, 1),
        (["RESP002"], "http_status", False, 1),
    ],
)
def test_its_errors_have_their_codes(
    site: Site, api: ZenRowsApi, answers: list[str], code: str, retryable: bool, requests: int
) -> None:
    api.errors.extend(answers)
    error = error_of(fetch_all(site.url("/bread"), api=api, mode="rendered")[0])
    assert (error.code, error.retryable) == (code, retryable)
    assert len(api.requests) == requests
    assert answers[0] in error.message


def test_a_passing_fault_is_tried_again(site: Site, api: ZenRowsApi) -> None:
    api.errors.extend(["AUTH006", "RESP001"])
    assert page_of(fetch_all(site.url("/bread"), api=api, mode="rendered")[0]).title == "Rendered bread"


def test_a_long_wait_that_it_asks_for_is_not_waited_for(site: Site, api: ZenRowsApi) -> None:
    api.errors.append("AUTH008")
    api.retry_after = "3600"
    assert error_of(fetch_all(site.url("/bread"), api=api, mode="rendered")[0]).code == "render_rate_limited"


@pytest.mark.parametrize(("status", "code"), [(404, "http_status"), (403, "http_403"), (503, "http_503")])
def test_the_pages_own_status_is_told(site: Site, api: ZenRowsApi, status: int, code: str) -> None:
    api.pages[site.url("/bread")] = Browsed("<p>Sorry</p>", status=status)
    assert error_of(fetch_all(site.url("/bread"), api=api, mode="rendered")[0]).code == code


def test_a_page_of_odd_json_harms_nothing_but_itself(site: Site, api: ZenRowsApi) -> None:
    api.pages[site.url("/deep")] = Browsed("[" * 100_000, media_type="application/json")
    found = fetch_all(site.url("/deep"), site.url("/bread"), api=api, mode="rendered")
    assert page_of(found[0]).method == page_of(found[1]).method == "zenrows"


def test_a_wrong_key_is_told_without_it(site: Site, api: ZenRowsApi) -> None:
    api.key = "another"
    assert error_of(fetch_all(site.url("/bread"), api=api, mode="rendered")[0]).code == "render_refused"


def test_no_more_at_once_than_the_plan_allows(site: Site, api: ZenRowsApi) -> None:
    api.concurrency = 2
    urls = [site.url(f"/bread?n={number}") for number in range(8)]
    api.pages.update(dict.fromkeys(urls, Browsed(LOAF)))
    api.hold.clear()

    def release() -> None:
        wait_until(lambda: api.most_at_once >= 2, "two under way")
        api.hold.wait(0.2)  # for a third, if there were one
        api.hold.set()

    releasing = threading.Thread(target=release)
    releasing.start()
    found = fetch_all(*urls, api=api, mode="rendered", limits=replace(QUICK, at_once=2))
    releasing.join()
    assert [page_of(one).method for one in found] == ["zenrows"] * 8
    assert api.most_at_once == 2


def test_a_private_address_is_not_shown_to_it(api: ZenRowsApi) -> None:
    found = fetch_all("http://10.0.0.1/", "http://0x7f.1/", "http://user@example.org/", api=api, mode="rendered")
    assert [error_of(one).code for one in found] == ["blocked_address"] * 3
    assert api.requests == []


def test_a_page_that_takes_too_long_to_render_is_given_up(site: Site, api: ZenRowsApi) -> None:
    api.hold.clear()
    error = error_of(fetch_all(site.url("/bread"), api=api, mode="rendered", limits=replace(QUICK, total_s=0.2))[0])
    assert (error.code, error.retryable) == ("timeout", True)


def test_its_address_may_end_with_its_version(site: Site, api: ZenRowsApi) -> None:
    async def run() -> float:
        service = ZenRows(f"{api.base_url}/v1/", SecretStr(api.key), limits=QUICK)
        try:
            return (await service.render(site.url("/bread"), unblock=False, within_s=60.0)).cost
        finally:
            await service.close()

    assert asyncio.run(run()) == pytest.approx(0.0014)


def test_an_unreachable_service_is_told(site: Site) -> None:
    with ZenRowsApi() as gone:
        pass
    error = error_of(fetch_all(site.url("/bread"), api=gone, mode="rendered")[0])
    assert (error.code, error.retryable) == ("render_failed", True)
