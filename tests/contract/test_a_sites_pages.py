"""What becomes of every page of a local site that behaves well and badly, in a table.

The site is real, so are the connections; ZenRows is a local server in its wire format.
"""

import asyncio
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from pydantic import SecretStr

from codeforge.agent import FetchTerms, RenderAllowance
from codeforge.errors import FetchError
from codeforge.results import Page
from codeforge.web.connections import GuardedBackend, GuardedConnections
from codeforge.web.download import DownloadLimits
from codeforge.web.fetcher import FetchLimits, GuardedFetcher
from codeforge.web.guard import AddressGuard
from codeforge.web.hosts import HostLimits, HostVisits
from codeforge.web.memory_hosts import MemoryHosts
from codeforge.web.memory_pages import MemoryPages
from codeforge.web.shared_pages import SharedPages
from codeforge.web.zenrows import RenderLimits, ZenRows
from tests.servers.articles import BREAD, article
from tests.servers.site import Site
from tests.servers.unrendered import CHALLENGES, NOTICES, SHELLS, SKELETONS, WALLS
from tests.servers.zenrows import Browsed, ZenRowsApi

ROBOTS = "User-agent: *\nDisallow: /private\nDisallow: /*.cgi$\nAllow: /private/open\n"
LIMITS = DownloadLimits(total_s=120.0, retry_delay_s=0.01, retry_after_s=2.0)
SHORT = replace(LIMITS, total_s=0.5)
LOAF = article("Rendered bread", BREAD)
TOPIC = {
    "/bread": "Baking sourdough bread",
    "/volcano": "How volcanoes erupt",
    "/bicycle": "Mending a bicycle by the road",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A page's outcome: an error's code, or a title and the way; and how often the site was asked for it, where that is
    of interest."""

    code: str = ""
    title: str | None = None
    method: str = "standard"
    hits: int | None = None


BREADS = Row(title=TOPIC["/bread"])
RENDERED = Row(title="Rendered bread", method="zenrows")

TABLE: dict[str, Row] = {
    # Static pages.
    "/": Row(),
    **{path: Row(title=title) for path, title in TOPIC.items()},
    "/bread?crust=1#top": BREADS,
    "/empty": Row(title=""),
    "/tiny": Row(title=""),
    "/plain": Row(title=""),
    "/markdown": Row(title="A note"),
    "/no-type": Row(title="No type"),
    "/based": Row(title="Based"),
    "/links": Row(title="Links"),
    "/headers": Row(title=""),
    "/short-wait": BREADS,
    # Compression and character sets.
    "/gzip": BREADS,
    "/deflate": BREADS,
    "/raw-deflate": BREADS,
    "/latin1": Row(title="Caf\xe9"),
    "/latin1-undeclared": Row(title="Caf\xe9"),
    "/latin1-meta": Row(title="Caf\xe9"),
    "/base64-charset": Row(title="Caf\xe9"),
    "/wrong-charset": Row(title="Caf\ufffd"),
    "/brotli": Row("bad_response"),
    "/cut-gzip": Row("bad_response"),
    # Too large, in every way.
    "/huge": Row("too_large"),
    "/huge-declared": Row("too_large", hits=1),
    "/bomb": Row("too_large"),
    "/double-bomb": Row("too_large"),
    # No page.
    "/image": Row("unsupported_content_type"),
    # Applications, notices, challenges, walls and skeletons.
    **dict.fromkeys(SHELLS, RENDERED),
    **dict.fromkeys(NOTICES, RENDERED),
    **dict.fromkeys(SKELETONS, RENDERED),
    **dict.fromkeys(WALLS, RENDERED),
    **dict.fromkeys(CHALLENGES, RENDERED),
    "/challenged": RENDERED,
    # Redirects.
    "/redirect/1": BREADS,
    "/redirect/5": BREADS,
    "/redirect/6": Row("too_many_redirects"),
    "/loop": Row("redirect_loop", hits=1),
    "/circle/1": Row("redirect_loop"),
    "/to-private": Row("blocked_address"),
    "/to-nowhere": Row("bad_response"),
    "/to?url=http://[::g]/": Row("invalid_url"),
    "/to?url=file:///etc/passwd": Row("blocked_address"),
    # Statuses.
    "/missing": Row("http_status", hits=1),
    "/status/400": Row("http_status"),
    "/status/401": Row("http_401"),
    "/status/403": Row("http_403"),
    "/status/410": Row("http_status"),
    "/status/500": Row("http_status"),
    "/status/304": Row("bad_response"),
    # Hosts that have too much to do. Each pauses its host, so these have a site of their own.
    "/busy-once": Row(title=TOPIC["/bread"], hits=2),
    "/busy": Row("http_429"),
    "/unavailable-once": Row(title=TOPIC["/bread"], hits=2),
    "/unavailable": Row("http_503", hits=2),
    "/unavailable-long": Row("http_503", hits=1),
    # Connections.
    "/slow": Row("timeout"),
    "/drip": Row("timeout"),
    "/drop": Row("bad_response", hits=2),
    "/drop-once": Row(title=TOPIC["/bread"], hits=2),
    "/garbage": Row("bad_response", hits=2),
    "/truncated": Row("bad_response", hits=2),
    # Rules.
    "/private": Row("robots_disallowed", hits=0),
    "/private/notes": Row("robots_disallowed", hits=0),
    "/private/open": Row("http_status"),
    "/search.cgi": Row("robots_disallowed", hits=0),
    # Validators and freshness.
    "/tagged": BREADS,
    "/dated": BREADS,
    "/changing": Row(title="Version 1"),
    "/fresh": BREADS,
    "/not-stored": BREADS,
}
PAUSING = {"/busy-once", "/busy", "/unavailable-once", "/unavailable", "/unavailable-long"}

SLOW = {"/slow", "/drip"}

Outcomes = dict[str, Page | FetchError]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site() as served:
        served.robots = ROBOTS
        yield served


@pytest.fixture(scope="module")
def outcomes(site: Site) -> Outcomes:
    """All of the table at once, as one task would; those that pause their host one after another, each for itself."""
    with ZenRowsApi(concurrency=20) as rendering:
        rendering.pages.update({site.url(path): Browsed(LOAF) for path, row in TABLE.items() if row is RENDERED})
        return asyncio.run(_all(site, rendering))


async def _all(site: Site, rendering: ZenRowsApi) -> Outcomes:
    together = [path for path in TABLE if path not in PAUSING | SLOW]
    found = dict(zip(together, await _fetched(site, rendering, together), strict=True))
    for path in PAUSING | SLOW:
        limits = SHORT if path in SLOW else LIMITS
        found |= dict(zip([path], await _fetched(site, rendering, [path], limits), strict=True))
    return found


async def _fetched(
    site: Site, rendering: ZenRowsApi, paths: list[str], page: DownloadLimits = LIMITS
) -> list[Page | FetchError]:
    guard = AddressGuard(["127.0.0.1"])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    fetcher = GuardedFetcher(
        guard,
        limits=FetchLimits(page=page),
        connections=GuardedConnections(GuardedBackend(guard), limit=50, ssl_context=tls),
        renderer=ZenRows(rendering.base_url, SecretStr(rendering.key), limits=RenderLimits(at_once=20)),
        visits=HostVisits(MemoryHosts(), HostLimits(at_once=20, pause_s=0.05)),
        robots_age_s=60.0,
        sharing=SharedPages(MemoryPages()),
    )
    terms = FetchTerms("acme", deadline=time.monotonic() + 150.0, renders=RenderAllowance(100))
    try:
        found = await asyncio.gather(
            *(fetcher.fetch(site.url(path), mode="auto", terms=terms) for path in paths), return_exceptions=True
        )
    finally:
        await fetcher.close()
    assert all(isinstance(one, Page | FetchError) for one in found), found
    return [one for one in found if isinstance(one, Page | FetchError)]


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) >= 60


@pytest.mark.parametrize("path", TABLE)
def test_outcome(path: str, outcomes: Outcomes, site: Site) -> None:
    row, found = TABLE[path], outcomes[path]
    if row.code:
        assert isinstance(found, FetchError)
        assert (found.code, found.url) == (row.code, site.url(path))
    else:
        assert isinstance(found, Page), found
        assert (found.method, found.url) == (row.method, site.url(path))
        assert row.title in (None, found.title)
    assert row.hits in (None, site.hits[path])
