"""The scrape agent on prepared pages."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

import pytest

from codeforge.agent import Agent
from codeforge.errors import FetchError, LedgerUnavailable, OutOfTime, TaskTimeout
from codeforge.inputs import ScrapeInput
from codeforge.results import Page, ScrapeResult
from tests.patience import PATIENCE_S
from tests.unit.agent_context import FakeContext, Keep
from workers.scrape import AT_ONCE, AT_ONE_HOST, MAX_RESULT_BYTES, ScrapeAgent

SITE = "https://site.example"


def page(url: str, *links: str, final_url: str | None = None) -> Page:
    text = f"Text of {url}"
    return Page(
        url=url,
        final_url=final_url or url,
        status_code=200,
        title=f"Title of {url}",
        markdown=text,
        links=list(links),
        content_hash=sha256(text.encode()).hexdigest(),
    )


@dataclass
class Web(FakeContext):
    """Counts fetches; those under way wait for each other for a moment, so that their number shows."""

    fetched: list[str] = field(default_factory=list)
    modes: set[str] = field(default_factory=set)
    under_way: int = 0
    most_under_way: int = 0

    async def fetch(
        self, url: str, *, mode: Literal["auto", "standard", "rendered"] = "auto", keep: Keep | None = None
    ) -> Page:
        self.fetched.append(url)
        self.modes.add(mode)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0.001 * (len(self.fetched) % 3))
            return await super().fetch(url, mode=mode, keep=keep)
        finally:
            self.under_way -= 1


def web(*pages: Page) -> Web:
    return Web(pages={each.url: each for each in pages})


def scrape(ctx: Web, **task_input: Any) -> ScrapeResult:
    agent: Agent = ScrapeAgent()
    result = asyncio.run(agent.run(ctx, ScrapeInput.model_validate(task_input)))
    assert isinstance(result, ScrapeResult)
    return result


def urls(result: ScrapeResult) -> list[str]:
    return [each.url for each in result.pages]


class SlowWeb(Web):
    """Has no time for the addresses under `/slow`."""

    async def fetch(
        self, url: str, *, mode: Literal["auto", "standard", "rendered"] = "auto", keep: Keep | None = None
    ) -> Page:
        if "/slow" in url:
            raise OutOfTime(FetchError("too slow", code="timeout", url=url, retryable=True))
        return await super().fetch(url, mode=mode, keep=keep)


def test_task_whose_time_was_over_before_there_was_a_page_failed() -> None:
    with pytest.raises(TaskTimeout, match="timeout_s") as caught:
        scrape(SlowWeb(), urls=[f"{SITE}/slow", f"{SITE}/away"])
    assert (caught.value.code, caught.value.retryable) == ("timeout", False)


def test_pages_that_were_there_in_time_are_kept() -> None:
    ctx = SlowWeb(pages={f"{SITE}/a": page(f"{SITE}/a")})
    result = scrape(ctx, urls=[f"{SITE}/slow", f"{SITE}/a"])
    assert urls(result) == [f"{SITE}/a"]
    assert [(failed.url, failed.code) for failed in result.failed] == [(f"{SITE}/slow", "timeout")]


def test_pages_come_in_the_order_of_the_input() -> None:
    asked = [f"{SITE}/{number}" for number in range(30)]
    ctx = web(*(page(url, f"{url}/next") for url in asked))
    result = scrape(ctx, urls=asked)
    assert urls(result) == asked
    assert result.failed == []
    assert result.pages[3].markdown == f"Text of {asked[3]}"
    assert result.pages[3].links == [f"{asked[3]}/next"]


def test_so_many_at_once_and_no_more() -> None:
    asked = [f"{SITE}/{number}" for number in range(2 * AT_ONE_HOST)]
    ctx = web(*map(page, asked))
    scrape(ctx, urls=asked)
    assert ctx.most_under_way == AT_ONE_HOST


def test_hosts_that_wait_hold_up_no_other_host() -> None:
    asked = [f"https://h{host}.example/{number}" for host in range(5) for number in range(2 * AT_ONE_HOST)]
    ctx = web(*map(page, asked))
    assert urls(scrape(ctx, urls=asked)) == asked
    assert ctx.most_under_way == 5 * AT_ONE_HOST <= AT_ONCE


def test_a_url_that_fails_does_not_fail_the_task() -> None:
    ctx = web(page(f"{SITE}/a"), page(f"{SITE}/c"))
    result = scrape(ctx, urls=[f"{SITE}/a", f"{SITE}/b", f"{SITE}/c"])
    assert urls(result) == [f"{SITE}/a", f"{SITE}/c"]
    assert [(each.url, each.code) for each in result.failed] == [(f"{SITE}/b", "connect_failed")]
    assert f"{SITE}/b" in result.failed[0].message


def test_all_urls_may_fail() -> None:
    result = scrape(web(), urls=[f"{SITE}/a", f"{SITE}/b"])
    assert result.pages == []
    assert [each.url for each in result.failed] == [f"{SITE}/a", f"{SITE}/b"]
    assert [notice.code for notice in result.warnings] == ["nothing_fetched"]


def test_an_address_in_several_spellings_is_fetched_once_and_listed_under_each() -> None:
    a = page(f"{SITE}/a")
    ctx = web(page(f"{SITE}/b").model_copy(update={"cost": 0.5}), a)
    spellings = [f"{SITE}/b", f"{SITE}/gone", "HTTPS://Site.Example:443/b", f"{SITE}/a#top", f"{SITE}/gone#top"]
    ctx.pages = {**ctx.pages, f"{SITE}/a#top": a.model_copy(update={"url": f"{SITE}/a#top"})}
    result = scrape(ctx, urls=[*spellings, f"{SITE}/a", f"{SITE}/b"])
    assert urls(result) == [f"{SITE}/b", "HTTPS://Site.Example:443/b", f"{SITE}/a#top", f"{SITE}/a"]
    assert {each.markdown for each in result.pages[:2]} == {f"Text of {SITE}/b"}
    assert [each.cost for each in result.pages] == [0.5, 0.0, 0.0, 0.0]
    assert [each.url for each in result.failed] == [f"{SITE}/gone", f"{SITE}/gone#top"]
    assert sorted(ctx.fetched) == sorted([f"{SITE}/b", f"{SITE}/gone", f"{SITE}/a#top"])


def test_spellings_of_a_large_page_take_no_more_room_than_there_is() -> None:
    large = page(f"{SITE}/a").model_copy(update={"markdown": "x" * (MAX_RESULT_BYTES // 2)})
    result = scrape(web(large), urls=[f"{SITE}/a", f"{SITE}/a#1", f"{SITE}/a#2"])
    assert urls(result) == [f"{SITE}/a"]
    assert [(each.url, each.code) for each in result.failed] == [
        (f"{SITE}/a#1", "result_full"),
        (f"{SITE}/a#2", "result_full"),
    ]
    assert [notice.code for notice in result.warnings] == ["result_full"]


def test_one_url_without_a_crawl() -> None:
    ctx = web(page(f"{SITE}/a", f"{SITE}/b"))
    assert urls(scrape(ctx, url=f"{SITE}/a", mode="standard")) == [f"{SITE}/a"]
    assert ctx.modes == {"standard"}


@pytest.mark.parametrize(
    ("formats", "markdown", "links"),
    [(["markdown"], True, False), (["links"], False, True), (["links", "markdown"], True, True)],
)
def test_formats_say_what_is_filled(formats: list[str], markdown: bool, links: bool) -> None:
    ctx = web(page(f"{SITE}/", f"{SITE}/a"), page(f"{SITE}/a"))
    result = scrape(ctx, url=f"{SITE}/", crawl={"depth": 1}, formats=formats)
    assert len(result.pages) == 2
    assert bool(result.pages[0].markdown) == markdown
    assert bool(result.pages[0].links) == links
    assert result.pages[0].content_hash


def test_watchers_hear_of_every_page() -> None:
    ctx = web(page(f"{SITE}/a"))
    scrape(ctx, urls=[f"{SITE}/a", f"{SITE}/b"])
    assert {(kind, data["url"]) for kind, data in ctx.events} == {
        ("page", f"{SITE}/a"),
        ("page_failed", f"{SITE}/b"),
    }
    assert [(done, total) for done, total, _ in ctx.reports] == [(1, 2), (2, 2)]


GRAPH = [
    page(f"{SITE}/", f"{SITE}/a", f"{SITE}/b", "https://other.example/", "https://sub.site.example/"),
    page(f"{SITE}/a", f"{SITE}/", f"{SITE}/c", f"{SITE}/b"),
    page(f"{SITE}/b", f"{SITE}/c#top", f"{SITE}/file.pdf", f"{SITE}/picture.JPG?w=1"),
    page(f"{SITE}/file.pdf"),
    page(f"{SITE}/c", f"{SITE}/d"),
    page(f"{SITE}/d"),
    page("https://other.example/", "https://other.example/x"),
    page("https://sub.site.example/"),
]


@pytest.mark.parametrize(
    ("crawl", "paths"),
    [
        ({"depth": 0}, ["/"]),
        ({"depth": 1}, ["/", "/a", "/b"]),
        ({"depth": 2}, ["/", "/a", "/b", "/c", "/file.pdf"]),
        ({"depth": 10}, ["/", "/a", "/b", "/c", "/file.pdf", "/d"]),
        ({"depth": 10, "max_pages": 1}, ["/"]),
        ({"depth": 10, "max_pages": 3}, ["/", "/a", "/b"]),
    ],
)
def test_a_crawl_goes_breadth_first_within_its_bounds(crawl: dict[str, int], paths: list[str]) -> None:
    ctx = web(*GRAPH)
    result = scrape(ctx, url=f"{SITE}/", crawl=crawl)
    assert urls(result) == [SITE + path for path in paths]
    assert result.failed == []
    assert Counter(ctx.fetched).most_common(1)[0][1] == 1


def test_a_crawl_leaves_the_site_when_told() -> None:
    result = scrape(web(*GRAPH), url=f"{SITE}/", crawl={"depth": 1, "same_site": False})
    assert urls(result)[1:] == [f"{SITE}/a", f"{SITE}/b", "https://other.example/", "https://sub.site.example/"]


def test_a_crawl_goes_on_past_pages_that_fail() -> None:
    ctx = web(page(f"{SITE}/", f"{SITE}/gone", f"{SITE}/a"), page(f"{SITE}/a", f"{SITE}/c"), page(f"{SITE}/c"))
    result = scrape(ctx, url=f"{SITE}/", crawl={"depth": 2})
    assert urls(result) == [f"{SITE}/", f"{SITE}/a", f"{SITE}/c"]
    assert [each.url for each in result.failed] == [f"{SITE}/gone"]


def test_a_crawl_whose_start_fails_succeeds_with_nothing() -> None:
    result = scrape(web(), url=f"{SITE}/", crawl={"depth": 3})
    assert result.pages == []
    assert len(result.failed) == 1


def test_the_site_is_where_the_first_page_ended() -> None:
    www = "https://www.site.example"
    ctx = web(
        page(f"{SITE}/", f"{www}/a", f"{SITE}/b", final_url=f"{www}/"),
        page(f"{www}/a", f"{www}/", final_url=f"{www}/a"),
    )
    assert urls(scrape(ctx, url=f"{SITE}/", crawl={"depth": 2})) == [f"{SITE}/", f"{www}/a"]
    assert ctx.fetched == [f"{SITE}/", f"{www}/a"]


def test_pages_that_redirect_to_one_page_or_off_the_site_are_listed_once_or_not_at_all() -> None:
    ctx = web(
        page(f"{SITE}/", f"{SITE}/old", f"{SITE}/new", f"{SITE}/out"),
        page(f"{SITE}/old", final_url=f"{SITE}/new"),
        page(f"{SITE}/new"),
        page(f"{SITE}/out", "https://other.example/deep", final_url="https://other.example/"),
    )
    assert urls(scrape(ctx, url=f"{SITE}/", crawl={"depth": 3})) == [f"{SITE}/", f"{SITE}/old"]


def test_what_the_sitemap_names_comes_after_the_links_of_the_first_page() -> None:
    ctx = web(*GRAPH)
    ctx.sitemaps = {f"{SITE}/": [f"{SITE}/d", f"{SITE}/a", "https://other.example/"]}
    assert urls(scrape(ctx, url=f"{SITE}/", crawl={"depth": 1})) == [SITE + path for path in ("/", "/a", "/b", "/d")]
    assert ctx.sitemaps_read == [f"{SITE}/"]


@pytest.mark.parametrize("crawl", [{"sitemap": False}, {"depth": 0}, {"max_pages": 1}])
def test_a_sitemap_is_not_read_for_nothing(crawl: dict[str, Any]) -> None:
    ctx = web(*GRAPH)
    scrape(ctx, url=f"{SITE}/", crawl=crawl)
    assert ctx.sitemaps_read == []


def test_a_page_with_the_text_of_another_is_left_out_and_told() -> None:
    same = page(f"{SITE}/a").model_copy(update={"url": f"{SITE}/print", "final_url": f"{SITE}/print"})
    result = scrape(
        web(page(f"{SITE}/", f"{SITE}/a", f"{SITE}/print"), page(f"{SITE}/a"), same), url=f"{SITE}/", crawl={}
    )
    assert urls(result) == [f"{SITE}/", f"{SITE}/a"]
    assert [(each.code, each.message[:7]) for each in result.warnings] == [("duplicate_pages", "1 pages")]


def test_another_port_is_another_site() -> None:
    ctx = web(
        page("http://h.example:81/", "http://h.example:82/", "http://h.example:81/a"), page("http://h.example:81/a")
    )
    assert urls(scrape(ctx, url="http://h.example:81/", crawl={})) == ["http://h.example:81/", "http://h.example:81/a"]


def large(number: int, *links: str) -> Page:
    return page(f"{SITE}/{number}", *links).model_copy(update={"markdown": f"{number}" + "x" * 2_000_000})


def test_a_result_that_is_full_ends_early_with_what_there_is() -> None:
    asked = [f"{SITE}/{number}" for number in range(30)]
    ctx = web(*(large(number) for number in range(30)))
    result = scrape(ctx, urls=asked)
    assert len(result.pages) == MAX_RESULT_BYTES // 2_000_000
    assert {each.code for each in result.failed} == {"result_full"}
    assert len(result.pages) + len(result.failed) == 30
    assert [each.code for each in result.warnings] == ["result_full"]
    assert len(result.model_dump_json()) < 32 * 1024 * 1024


def test_a_crawl_that_is_full_ends_early_with_what_there_is() -> None:
    ctx = web(*(large(number, f"{SITE}/{number + 1}") for number in range(40)))
    result = scrape(ctx, url=f"{SITE}/0", crawl={"depth": 10, "max_pages": 100})
    assert len(result.pages) == 11
    pages = [large(0, *(f"{SITE}/{number}" for number in range(1, 40))), *(large(number) for number in range(1, 40))]
    result = scrape(web(*pages), url=f"{SITE}/0", crawl={"depth": 2, "max_pages": 100})
    assert len(result.pages) == MAX_RESULT_BYTES // 2_000_000
    assert [each.code for each in result.warnings] == ["result_full"]


def test_pages_whose_text_nobody_wants_take_no_room() -> None:
    result = scrape(
        web(*(large(number) for number in range(30))), urls=[f"{SITE}/{n}" for n in range(30)], formats=["links"]
    )
    assert len(result.pages) == 30
    assert result.warnings == []


def test_a_second_attempt_asks_for_the_same_pages() -> None:
    runs = []
    for _ in range(3):
        ctx = web(*GRAPH)
        runs.append((scrape(ctx, url=f"{SITE}/", crawl={"depth": 5, "max_pages": 4}), sorted(ctx.fetched)))
    assert runs[0] == runs[1] == runs[2]


def test_a_cancelled_task_stops_its_fetches_and_passes_the_cancellation_on() -> None:
    async def run() -> Web:
        ctx = Hanging()
        task = asyncio.create_task(
            ScrapeAgent().run(ctx, ScrapeInput(urls=[f"{SITE}/{n}" for n in range(2 * AT_ONE_HOST)]))
        )
        await asyncio.wait_for(ctx.full.wait(), PATIENCE_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return ctx

    ctx = asyncio.run(run())
    assert ctx.under_way == 0
    assert len(ctx.fetched) == AT_ONE_HOST


@dataclass
class Hanging(Web):
    """Fetches that never end."""

    full: asyncio.Event = field(default_factory=asyncio.Event)

    async def fetch(
        self, url: str, *, mode: Literal["auto", "standard", "rendered"] = "auto", keep: Keep | None = None
    ) -> Page:
        self.fetched.append(url)
        self.under_way += 1
        if self.under_way == AT_ONE_HOST:
            self.full.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.under_way -= 1
        raise AssertionError("it never ends")


@pytest.mark.parametrize("error", [LedgerUnavailable("gone"), asyncio.CancelledError()])
def test_what_is_no_fetch_error_fails_the_task_as_it_is(error: BaseException) -> None:
    class Broken(Web):
        async def fetch(
            self, url: str, *, mode: Literal["auto", "standard", "rendered"] = "auto", keep: Keep | None = None
        ) -> Page:
            raise error

    with pytest.raises(type(error)):
        scrape(Broken(), urls=[f"{SITE}/a", f"{SITE}/b"])


def test_a_blocked_address_is_listed_with_its_code() -> None:
    class Guarded(Web):
        async def fetch(
            self, url: str, *, mode: Literal["auto", "standard", "rendered"] = "auto", keep: Keep | None = None
        ) -> Page:
            raise FetchError("is loopback", code="blocked_address", url=url)

    result = scrape(Guarded(), urls=["http://rebind.example/"])
    assert result.failed[0].model_dump() == {
        "url": "http://rebind.example/",
        "code": "blocked_address",
        "message": "is loopback",
    }
