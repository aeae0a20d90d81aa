"""How sites are visited: robots.txt, turns, pauses, and pages that are asked for again."""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from codeforge.agent import FetchTerms
from codeforge.errors import FetchError
from codeforge.results import Page
from codeforge.web.connections import GuardedBackend, GuardedConnections
from codeforge.web.download import DownloadLimits
from codeforge.web.fetcher import FetchLimits, GuardedFetcher
from codeforge.web.guard import AddressGuard
from codeforge.web.hosts import HostLimits, HostVisits
from codeforge.web.memory_hosts import MemoryHosts
from codeforge.web.memory_pages import MemoryPages
from codeforge.web.robots import Robots
from codeforge.web.shared_pages import Fetched, KeptPage, SharedPages, SharingLimits
from tests.patience import PATIENCE_S
from tests.servers.celery_worker import wait_until
from tests.servers.site import Site

NOW = FetchTerms("acme")
LOAF = "https://example.org/loaf"


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as served:
        yield served


def fetch_all(
    *urls: str,
    at_once: bool = False,
    behind: Callable[[], bool] | None = None,
    terms: FetchTerms = NOW,
    hosts: HostLimits | None = None,
    **options: Any,
) -> list[Page | FetchError]:
    """What came of each. `at_once` does not wait for one before the next, but for `behind` after the first."""

    async def run() -> list[Page | FetchError]:
        guard = AddressGuard(["127.0.0.1", "localhost"])
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        fetcher = GuardedFetcher(
            guard,
            limits=FetchLimits(page=DownloadLimits(total_s=30.0, retry_delay_s=0.01, retry_after_s=3.0)),
            connections=GuardedConnections(GuardedBackend(guard), limit=50, ssl_context=tls),
            visits=HostVisits(MemoryHosts(), hosts or HostLimits(pause_s=0.05)),
            **{"robots_age_s": 60.0, **options},
        )
        one = partial(fetcher.fetch, mode="auto", terms=terms)
        found: list[Any] = []
        try:
            if at_once:
                first = asyncio.create_task(one(urls[0]))
                if behind is not None:
                    await asyncio.to_thread(wait_until, behind, "the first at its host")
                found = list(await asyncio.gather(first, *map(one, urls[1:]), return_exceptions=True))
            else:
                for url in urls:
                    found += await asyncio.gather(one(url), return_exceptions=True)
        finally:
            await fetcher.close()
        assert all(isinstance(each, Page | FetchError) for each in found), found
        return found

    return asyncio.run(run())


def code(found: Page | FetchError) -> str:
    return found.code if isinstance(found, FetchError) else "page"


def test_what_robots_txt_forbids_is_not_asked_for(site: Site) -> None:
    site.robots = "User-agent: *\nDisallow: /bread\nAllow: /bread?ok\n\nUser-agent: CodeForge\nDisallow: /volcano\n"
    found = fetch_all(site.url("/bread"), site.url("/volcano"), site.url("/bicycle"))
    assert [code(each) for each in found] == ["page", "robots_disallowed", "page"]
    assert site.hits == {"/robots.txt": 1, "/bread": 1, "/bicycle": 1}


def test_the_rules_are_those_for_the_name_that_servers_see(site: Site) -> None:
    site.robots = "User-agent: *\nDisallow: /\n\nUser-agent: OtherBot\nDisallow: /volcano\n"
    assert code(fetch_all(site.url("/bread"))[0]) == "robots_disallowed"
    assert code(fetch_all(site.url("/bread"), user_agent="OtherBot/2.0 (+https://example.org)")[0]) == "page"


def test_a_redirect_keeps_to_the_rules_of_where_it_leads(site: Site) -> None:
    site.robots = "User-agent: *\nDisallow: /volcano"
    assert code(fetch_all(site.url(f"/to?url={site.url('/volcano')}"))[0]) == "robots_disallowed"
    assert site.hits["/volcano"] == 0


@pytest.mark.parametrize(
    ("status", "expected"),
    [(None, "page"), ("403", "page"), ("410", "page"), ("500", "http_status"), ("429", "http_429")],
)
def test_a_robots_txt_that_is_not_there_allows_all_and_one_in_trouble_forbids(
    site: Site, status: str | None, expected: str
) -> None:
    site.robots = status
    found = fetch_all(site.url("/bread"), site.url("/volcano"))
    assert code(found[0]) == expected
    assert site.hits["/bread"] == (expected == "page")


@pytest.mark.parametrize(
    "text", ["<html><body>Not found</body></html>", "\x00\xff" * 100, "Disallow: /", "a" * 600_000]
)
def test_a_robots_txt_that_is_none_allows_all(site: Site, text: str) -> None:
    site.robots = text
    assert code(fetch_all(site.url("/bread"))[0]) == "page"


def test_rules_can_be_switched_off(site: Site) -> None:
    site.robots = "User-agent: *\nDisallow: /"
    assert code(fetch_all(site.url("/bread"), robots_age_s=None)[0]) == "page"
    assert site.hits["/robots.txt"] == 0


def test_crawl_delay_is_kept(site: Site) -> None:
    site.robots = "User-agent: *\nCrawl-delay: 0.3"
    began = time.monotonic()
    found = fetch_all(*(site.url(f"/bread?n={number}") for number in range(4)), at_once=True)
    assert [code(each) for each in found] == ["page"] * 4
    # From where the first may be asked for at the earliest: a busy machine makes any of them late, and none early.
    assert all(at - began >= number * 0.3 for number, at in enumerate(site.times["/bread"]))


def test_a_delay_that_the_task_has_no_time_for_fails_the_page_at_once(site: Site) -> None:
    site.robots = "User-agent: *\nCrawl-delay: 50"
    began = time.monotonic()
    terms = FetchTerms("acme", deadline=began + 45.0)
    found = fetch_all(*(site.url(f"/bread?n={number}") for number in range(3)), at_once=True, terms=terms)
    assert sorted(code(each) for each in found) == ["host_busy", "host_busy", "page"]
    assert time.monotonic() - began < 40.0  # they did not wait until the deadline


def test_no_host_sees_more_at_once_than_its_limit(site: Site) -> None:
    urls = [site.url(f"/short-wait?n={number}") for number in range(9)]
    assert [code(each) for each in fetch_all(*urls, at_once=True, hosts=HostLimits(at_once=3))] == ["page"] * 9
    assert site.most_at_once == 3


def test_a_rate_is_kept_after_its_burst(site: Site) -> None:
    urls = [site.url(f"/bread?n={number}") for number in range(8)]
    began = time.monotonic()
    fetch_all(*urls, at_once=True, hosts=HostLimits(rate=20, burst=2), robots_age_s=None)
    assert site.times["/bread"][-1] - began >= 6 * 0.05


def test_loopback_addresses_may_have_a_limit_of_their_own(site: Site) -> None:
    hosts = HostLimits(at_once=1, at_once_here=0)
    others = [site.url(f"/short-wait?n={number}").replace("127.0.0.1", "localhost") for number in range(3)]
    fetch_all(*others, at_once=True, hosts=hosts)
    assert site.most_at_once == 1
    fetch_all(*(site.url(f"/short-wait?n={number}") for number in range(3)), at_once=True, hosts=hosts)
    assert site.most_at_once == 3


def test_retry_after_is_waited_for_by_all_who_want_something_of_the_host(site: Site) -> None:
    found = fetch_all(
        site.url("/busy-once"),
        site.url("/bread"),
        robots_age_s=None,
        at_once=True,
        behind=lambda: site.hits["/busy-once"] > 0,
        hosts=HostLimits(at_once=1),
    )
    assert [code(each) for each in found] == ["page", "page"]
    first, second = site.times["/busy-once"]
    assert second - first >= 0.95
    assert site.times["/bread"][0] - first >= 0.95


@pytest.mark.parametrize("path", ["/unavailable-long", "/unavailable-for-ages"])
def test_a_long_pause_fails_the_pages_of_the_host_and_no_others(site: Site, path: str) -> None:
    other = site.url("/bread").replace("127.0.0.1", "localhost")
    found = fetch_all(site.url(path), site.url("/bread"), other, robots_age_s=None, hosts=HostLimits(wait_s=5.0))
    assert [code(each) for each in found] == ["http_503", "host_busy", "page"]


def test_a_cancelled_visit_gives_its_place_back(site: Site) -> None:
    async def run() -> None:
        visits = HostVisits(MemoryHosts(), HostLimits(at_once=1, wait_s=30.0))

        async def stay(name: str) -> None:
            async with visits.visit("h:1", name, deadline=time.monotonic() + 50.0):
                await asyncio.Event().wait()

        inside, waiting = asyncio.create_task(stay("a")), asyncio.create_task(stay("b"))
        await asyncio.sleep(0.05)
        for task in (waiting, inside):
            task.cancel()
        await asyncio.gather(inside, waiting, return_exceptions=True)
        async with visits.visit("h:1", "c", deadline=time.monotonic() + 30.0):
            pass
        await visits.close()

    asyncio.run(run())


class SlowToLeave(MemoryHosts):
    """Its answers to those that leave come when the test lets them."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answers = asyncio.Event(), asyncio.Event()

    async def leave(self, host: str, visit: str, *, asked_ms: int, first_ms: int, longest_ms: int) -> int:
        self.asked.set()
        await self.answers.wait()
        return await super().leave(host, visit, asked_ms=asked_ms, first_ms=first_ms, longest_ms=longest_ms)


def test_a_visit_that_is_cancelled_while_it_leaves_gives_its_place_back() -> None:
    async def run() -> None:
        gate = SlowToLeave()
        visits = HostVisits(gate, HostLimits(at_once=1))

        async def come_and_go() -> None:
            async with visits.visit("h:1", "a", deadline=time.monotonic() + PATIENCE_S):
                pass

        leaving = asyncio.create_task(come_and_go())
        async with asyncio.timeout(PATIENCE_S):
            await gate.asked.wait()
        leaving.cancel()
        await asyncio.wait([leaving], timeout=PATIENCE_S)
        assert leaving.cancelled()  # it is not waited for
        gate.answers.set()
        await visits.close()
        assert await gate.enter("h:1", "b", most=1, every_ms=0, burst=1, lease_ms=1_000) == 0

    asyncio.run(run())


class SlowToKeep(MemoryPages):
    """Keeps a page when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answers = asyncio.Event(), asyncio.Event()

    async def keep(self, page: str, holder: str, value: bytes, *, keep_ms: int, fresh_ms: int) -> None:
        self.asked.set()
        await self.answers.wait()
        await super().keep(page, holder, value, keep_ms=keep_ms, fresh_ms=fresh_ms)


def test_a_task_that_is_cancelled_while_its_page_is_kept_leaves_it_to_others() -> None:
    fetched: list[str] = []

    async def fetch(older: KeptPage | None) -> Fetched:
        fetched.append("once")
        return Fetched(Page(url=LOAF, final_url=LOAF, status_code=200, content_hash="0" * 64))

    async def run() -> None:
        cache = SlowToKeep()
        one, other = SharedPages(cache), SharedPages(cache)
        since = FetchTerms("acme", since_ms=0)
        first = asyncio.create_task(one.page(LOAF, "auto", since, fetch))
        async with asyncio.timeout(PATIENCE_S):
            await cache.asked.wait()
            first.cancel()
            await asyncio.wait([first])
            cache.answers.set()
            await other.page(LOAF, "auto", since, fetch)

    asyncio.run(run())
    assert fetched == ["once"]


@pytest.mark.parametrize("path", ["/tagged", "/dated"])
def test_a_page_that_did_not_change_is_asked_for_and_not_sent_again(site: Site, path: str) -> None:
    sharing = SharedPages(MemoryPages(), SharingLimits(age_s=0.0))
    first, second = fetch_all(site.url(path), site.url(path), sharing=sharing)
    assert isinstance(first, Page)
    assert isinstance(second, Page)
    assert second == first
    assert site.hits[path] == 2


def test_a_page_that_changed_is_fetched_anew(site: Site) -> None:
    sharing = SharedPages(MemoryPages(), SharingLimits(age_s=0.0))
    found = fetch_all(site.url("/changing"), site.url("/changing"), sharing=sharing)
    assert [each.title for each in found if isinstance(each, Page)] == ["Version 1", "Version 2"]


@pytest.mark.parametrize(("path", "hits"), [("/fresh", 1), ("/not-stored", 2), ("/bread", 2)])
def test_servers_say_for_how_long_a_page_is_fresh(site: Site, path: str, hits: int) -> None:
    fetch_all(site.url(path), site.url(path), sharing=SharedPages(MemoryPages(), SharingLimits(age_s=0.0)))
    assert site.hits[path] == hits


def test_a_young_copy_serves_under_the_url_that_was_asked_for(site: Site) -> None:
    sharing = SharedPages(MemoryPages(), SharingLimits(age_s=60.0))
    found = fetch_all(site.url("/bread"), site.url("/bread#crust"), sharing=sharing)
    assert [each.url for each in found] == [site.url("/bread"), site.url("/bread#crust")]
    assert site.hits["/bread"] == 1


def test_failures_are_shared_by_those_who_waited(site: Site) -> None:
    since = FetchTerms("acme", since_ms=int(time.time() * 1_000) - 1)
    sharing = SharedPages(MemoryPages())
    found = fetch_all(*([site.url("/missing")] * 5), at_once=True, terms=since, sharing=sharing)
    assert [code(each) for each in found] == ["http_status"] * 5
    assert site.hits["/missing"] == 1


@pytest.mark.parametrize(("failed", "time_left_s"), [("host_busy", 60.0), ("timeout", 0.05)])
def test_what_a_task_had_no_time_for_is_no_failure_of_others(failed: str, time_left_s: float) -> None:
    url = "https://example.org/"
    page = Page(url=url, final_url=url, status_code=200, title="", markdown="", content_hash="")

    async def run() -> Page:
        sharing = SharedPages(MemoryPages())
        until = time.monotonic() + time_left_s

        async def too_late(older: object) -> Fetched:
            time.sleep(time_left_s if time_left_s < 1 else 0.0)  # noqa: ASYNC251  # a loop that is behind
            raise FetchError("no time", code=failed, url=url, retryable=True)

        async def in_time(older: object) -> Fetched:
            return Fetched(page)

        with pytest.raises(FetchError):
            await sharing.page(url, "auto", FetchTerms("acme", since_ms=0, deadline=until), too_late)
        return await sharing.page(url, "auto", FetchTerms("acme", since_ms=0), in_time)

    assert asyncio.run(run()) == page


def test_rules_that_a_task_had_no_time_for_are_asked_for_by_the_next() -> None:
    async def run() -> list[bool]:
        async def download(url: str, deadline: float) -> bytes:
            if deadline < time.monotonic():
                raise FetchError("too late", code="timeout", url=url, retryable=True)
            return b"User-agent: *\nDisallow: /"

        robots = Robots(download, "CodeForge/1")
        deadlines = time.monotonic() - 1.0, time.monotonic() + 60.0
        return [(await robots.rules("https://example.org", deadline)).trouble is None for deadline in deadlines]

    assert asyncio.run(run()) == [False, True]


def test_rules_that_another_task_asks_for_are_waited_for_no_longer_than_the_task_has() -> None:
    async def run() -> tuple[FetchError | None, FetchError | None]:
        asked, answered = asyncio.Event(), asyncio.Event()

        async def download(url: str, deadline: float) -> bytes:
            asked.set()
            await answered.wait()
            return b"User-agent: *\nDisallow: /"

        robots = Robots(download, "CodeForge/1")
        async with asyncio.timeout(30.0):
            patient = asyncio.create_task(robots.rules("https://example.org", time.monotonic() + 60.0))
            await asked.wait()
            hasty = await robots.rules("https://example.org", time.monotonic() + 0.05)
            answered.set()
            return hasty.trouble, (await patient).trouble

    hasty, patient = asyncio.run(run())
    assert (hasty and hasty.code, patient) == ("timeout", None)
