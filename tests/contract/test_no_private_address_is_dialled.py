"""Hostile URLs on every way into the fetcher: all refused, none dialled, as the socket saw it.

The site is on loopback under a name that the operator admits. Beside it is a secret server, at whose port the hostile
URLs point: it must never be asked.
"""

import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from codeforge.agent import SearchHit, SearchReply
from codeforge.errors import FetchError, ModelError
from codeforge.inputs import AnalysisInput, ScrapeInput
from codeforge.results import Page, ScrapeResult
from codeforge.web.addresses import IPAddress
from codeforge.web.connections import GuardedBackend, GuardedConnections
from codeforge.web.download import DownloadLimits
from codeforge.web.fetcher import FetchLimits, GuardedFetcher
from codeforge.web.guard import AddressGuard
from codeforge.web.hosts import HostVisits
from codeforge.web.memory_hosts import MemoryHosts
from codeforge.web.zenrows import ZenRows
from tests.servers.articles import BREAD, article
from tests.servers.dials import Dials, recorded
from tests.servers.site import Site
from tests.servers.zenrows import ZenRowsApi
from tests.unit.agent_context import FakeContext
from tests.unit.web.hostile_urls import NOT_ALLOWED, NOT_GLOBAL
from workers.analysis import AnalysisAgent
from workers.scrape import ScrapeAgent

pytestmark = pytest.mark.anyio

REFUSED = {"blocked_address", "invalid_url"}

NAMES = {
    "loopback.test": ["127.0.0.1"],
    "loopback-six.test": ["::1"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "compatible.test": ["::127.0.0.1"],
    "nat64.test": ["64:ff9b::7f00:1"],
    "local-nat64.test": ["64:ff9b:1::7f00:1"],
    "six-to-four.test": ["2002:7f00:1::1"],
    "carrier.test": ["100.64.0.1"],
    "private.test": ["10.0.0.1"],
    "private-six.test": ["fd00::1"],
    "link-local.test": ["169.254.1.1"],
    "metadata.google.internal": ["169.254.169.254"],
    "metadata-six.test": ["fd00:ec2::254"],
    "unspecified.test": ["0.0.0.0"],
    "multicast.test": ["224.0.0.1"],
    "broadcast.test": ["255.255.255.255"],
    "one-of-two.test": ["93.184.215.14", "127.0.0.1"],
    "two-of-two.test": ["127.0.0.1", "93.184.215.14"],
    "127.0.0.1.nip.test": ["127.0.0.1"],
}
"""Names that lead, or rebind, to where nobody may go."""


async def resolve(host: str, port: int) -> list[IPAddress]:
    answers = {"site.test": ["127.0.0.1"], **NAMES}.get(host.removesuffix("."))
    if answers is None:
        raise FetchError("the name has no address", code="dns_failed", url=host)
    return [ip_address(answer) for answer in answers]


def hostile(port: int) -> list[str]:
    """At the secret server's port, wherever the URL leaves room for one."""
    literals = ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost."]
    spelled = [f"http://{literal}:{port}/secret" for literal in literals[:-1]]
    tricks = [
        f"http://site.test@127.0.0.1:{port}/",
        f"http://site.test:80@127.0.0.1:{port}/",
        f"http://127.0.0.1:{port}\\@site.test/",
    ]
    names = [f"http://{name}:{port}/secret" for name in NAMES]
    return [*spelled, *tricks, *names, *NOT_GLOBAL, *NOT_ALLOWED]


@dataclass
class World:
    """The site, the secret beside it, a fetcher, and what was dialled."""

    site: Site
    secret: Site
    fetcher: GuardedFetcher
    rendering: ZenRowsApi
    dials: Dials

    @property
    def urls(self) -> list[str]:
        return hostile(self.secret.port)

    def on_site(self, path: str) -> str:
        return f"http://site.test:{self.site.port}{path}"

    def nothing_was_dialled(self) -> None:
        assert self.secret.connections == 0
        assert set(self.dials.connects) <= {("127.0.0.1", self.site.port)}, self.dials.connects
        assert self.dials.names == [] or set(self.dials.names) <= {"127.0.0.1"}, self.dials.names
        assert self.rendering.requests == []


@pytest.fixture(scope="module")
def sites() -> Iterator[tuple[Site, Site]]:
    with Site() as site, Site() as secret:
        yield site, secret


@pytest.fixture
async def world(sites: tuple[Site, Site]) -> AsyncIterator[World]:
    site, secret = sites
    site.robots = None
    site.pages.clear()
    guard = AddressGuard(["site.test"], resolver=resolve)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with ZenRowsApi() as rendering:
        fetcher = GuardedFetcher(
            guard,
            limits=FetchLimits(page=DownloadLimits(retries=0)),
            connections=GuardedConnections(GuardedBackend(guard), limit=20, ssl_context=tls),
            renderer=ZenRows(rendering.base_url, SecretStr(rendering.key)),
            visits=HostVisits(MemoryHosts()),
            robots_age_s=0.0,
        )
        with recorded() as dials:
            yield World(site, secret, fetcher, rendering, dials)
        await fetcher.close()


async def code_of(world: World, url: str, mode: Literal["auto", "rendered"] = "auto") -> str:
    try:
        await world.fetcher.fetch(url, mode=mode)
    except FetchError as error:
        return error.code
    return "fetched"


@dataclass
class Fetching(FakeContext):
    """An agent's context whose web is the fetcher's."""

    fetcher: GuardedFetcher | None = None
    outcomes: dict[str, str] = field(default_factory=dict)

    async def fetch(self, url: str, *, mode: Any = "auto", keep: Any = None) -> Page:
        assert self.fetcher is not None
        try:
            page = await self.fetcher.fetch(url, mode=mode)
        except FetchError as error:
            self.outcomes[url] = error.code
            raise
        self.outcomes[url] = "fetched"
        return page

    async def sitemap(self, url: str, *, limit: int) -> list[str]:
        assert self.fetcher is not None
        return await self.fetcher.sitemap(url, limit=limit)


def test_there_are_enough_of_them() -> None:
    assert len(set(hostile(1))) >= 100


async def test_the_site_itself_is_reached(world: World) -> None:
    assert await code_of(world, world.on_site("/bread")) == "fetched"
    assert world.dials.connects == [("127.0.0.1", world.site.port)] * len(world.dials.connects) != []


@pytest.mark.parametrize("mode", ["auto", "rendered"])
async def test_asked_for(world: World, mode: Literal["auto", "rendered"]) -> None:
    outcomes = {url: await code_of(world, url, mode) for url in world.urls}
    assert {url: code for url, code in outcomes.items() if code not in REFUSED} == {}
    world.nothing_was_dialled()
    assert world.dials.connects == []


async def test_redirected_to(world: World) -> None:
    outcomes = {url: await code_of(world, world.on_site(f"/to?url={quote(url)}")) for url in _as_location(world.urls)}
    assert {url: code for url, code in outcomes.items() if code not in REFUSED} == {}
    world.nothing_was_dialled()


async def test_redirected_to_by_robots_txt(world: World) -> None:
    for url in _as_location(world.urls):
        world.site.robots = f"location: {url}"
        assert await code_of(world, world.on_site("/bread")) in REFUSED
    world.nothing_was_dialled()


async def test_named_by_links_sitemaps_and_robots_txt(world: World) -> None:
    urls = [url for url in world.urls if url.startswith("http")]
    world.site.robots = "\n".join(f"Sitemap: {url}" for url in (world.on_site("/sitemap.xml"), *urls[:15]))
    places = "".join(f"<url><loc>{url.replace('&', '&amp;')}</loc></url>" for url in urls)
    world.site.pages["/sitemap.xml"] = f"<urlset>{places}</urlset>"
    world.site.pages["/start"] = article("Start", BREAD, [(url, "here") for url in urls])
    ctx = Fetching(fetcher=world.fetcher)
    crawl = {"depth": 2, "max_pages": 1_000, "same_site": False}
    result = await ScrapeAgent().run(ctx, ScrapeInput.model_validate({"url": world.on_site("/start"), "crawl": crawl}))
    assert isinstance(result, ScrapeResult)
    assert [page.url for page in result.pages] == [world.on_site("/start")]
    assert len(result.failed) >= 40
    assert {failure.code for failure in result.failed} <= REFUSED
    world.nothing_was_dialled()


async def test_found_by_a_search(world: World) -> None:
    urls = [url for url in world.urls if url.startswith("http")]
    outcomes: dict[str, str] = {}
    for batch in _batches(urls, 4):
        hits = SearchReply(hits=[SearchHit(url=url, title="Found") for url in batch])
        ctx = Fetching(fetcher=world.fetcher, hits=hits, answers=_Useless())
        with suppress(ModelError):  # a report without sources, for which this model has no words
            await AnalysisAgent().run(ctx, AnalysisInput(question="What is secret?"))
        outcomes |= ctx.outcomes
    assert len(outcomes) >= 40
    assert set(outcomes.values()) <= REFUSED
    world.nothing_was_dialled()


class _Useless(dict[str, Any]):
    """A model that answers every step with something of no use."""

    def __missing__(self, name: str) -> str:
        return '{"questions": []}'


def _as_location(urls: Sequence[str]) -> list[str]:
    """Those that can stand in a Location header, and are no addresses on the site itself. Joined to the page's own, an
    empty user name falls away, which leaves an ordinary address."""
    return [url for url in urls if url.isascii() and "://" in url and "//@" not in url]


def _batches(urls: Sequence[str], size: int) -> list[Sequence[str]]:
    return [urls[start : start + size] for start in range(0, len(urls), size)]
