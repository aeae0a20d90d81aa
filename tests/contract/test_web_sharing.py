"""Hosts' turns and shared pages, in memory and on a real server; and over two processes' fetchers."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from codeforge.agent import FetchTerms
from codeforge.errors import FetchError, LedgerUnavailable
from codeforge.ledger.connection import connect
from codeforge.ledger.web_sharing import RedisHosts, RedisPages
from codeforge.web.connections import GuardedBackend, GuardedConnections
from codeforge.web.fetcher import GuardedFetcher
from codeforge.web.guard import AddressGuard
from codeforge.web.hosts import HostGate, HostLimits, HostVisits
from codeforge.web.memory_hosts import MemoryHosts
from codeforge.web.memory_pages import MemoryPages
from codeforge.web.shared_pages import PageCache, SharedPages, SharingLimits, page_key
from tests.patience import PATIENCE_S
from tests.servers.site import Site
from tests.servers.valkey import ValkeyServer

pytestmark = pytest.mark.anyio

HOST = "example.org:443"
ENGINES = ["memory", "server"]


@pytest.fixture(params=ENGINES)
async def gate(request: pytest.FixtureRequest) -> AsyncIterator[HostGate]:
    if request.param == "memory":
        yield MemoryHosts()
        return
    hosts = RedisHosts(connect(request.getfixturevalue("ledger_server").url, max_connections=4))
    yield hosts
    await hosts.close()


@pytest.fixture(params=ENGINES)
async def pages(request: pytest.FixtureRequest) -> AsyncIterator[PageCache]:
    if request.param == "memory":
        yield MemoryPages()
        return
    cache = RedisPages(connect(request.getfixturevalue("ledger_server").url, max_connections=4), 1_000_000)
    yield cache
    await cache.close()


async def enter(
    gate: HostGate, visit: str, *, most: int = 2, every_ms: int = 0, burst: int = 1, lease_ms: int = 60_000
) -> int:
    return await gate.enter(HOST, visit, most=most, every_ms=every_ms, burst=burst, lease_ms=lease_ms)


async def leave(gate: HostGate, visit: str, asked_ms: int = -1) -> int:
    return await gate.leave(HOST, visit, asked_ms=asked_ms, first_ms=100_000, longest_ms=6_000_000)


async def test_no_more_places_than_there_are(gate: HostGate) -> None:
    assert [await enter(gate, name) for name in "abc"] == [0, 0, -1]
    assert await enter(gate, "a") == 0  # asked again after a lost answer: the same place
    assert await gate.enter("other.org:443", "c", most=2, every_ms=0, burst=1, lease_ms=60_000) == 0
    await leave(gate, "a")
    assert [await enter(gate, name) for name in "cd"] == [0, -1]


async def test_a_place_that_nobody_gives_back_is_free_after_its_lease(gate: HostGate) -> None:
    assert await enter(gate, "dead", most=1) == 0
    assert await enter(gate, "b", most=1) == -1
    assert await enter(gate, "dead", most=1, lease_ms=50) == 0  # its last renewal
    async with asyncio.timeout(PATIENCE_S):
        while await enter(gate, "b", most=1) != 0:  # noqa: ASYNC110  # the server's clock
            await asyncio.sleep(0.01)


async def test_starts_are_apart_after_the_burst(gate: HostGate) -> None:
    answers = [await enter(gate, str(number), most=0, every_ms=1_000_000, burst=3) for number in range(4)]
    assert answers[:3] == [0, 0, 0]
    assert 900_000 < answers[3] <= 1_000_000


async def test_a_pause_holds_for_all_and_doubles_until_the_host_answers_well(gate: HostGate) -> None:
    assert await enter(gate, "a") == await enter(gate, "b") == 0
    assert await leave(gate, "a", 0) == pytest.approx(100_000, abs=20_000)
    assert await leave(gate, "b", 0) == pytest.approx(100_000, abs=20_000)  # under way when the pause began
    assert 0 < await enter(gate, "c") <= 100_000
    assert await leave(gate, "x", 3_000_000) == pytest.approx(3_000_000, abs=20_000)
    assert await leave(gate, "y", 1_000_000_000) == pytest.approx(6_000_000, abs=20_000)
    assert 5_000_000 < await enter(gate, "c") <= 6_000_000


async def test_only_a_good_answer_ends_the_doubling(gate: HostGate) -> None:
    async def pause(said: int) -> int:
        await gate.leave(HOST, "x", asked_ms=said, first_ms=20, longest_ms=60_000)
        pause_ms = await gate.leave(HOST, "x", asked_ms=0, first_ms=20, longest_ms=60_000)
        async with asyncio.timeout(PATIENCE_S):
            while await enter(gate, "x") != 0:  # noqa: ASYNC110  # the server's clock
                await asyncio.sleep(0.005)
        return pause_ms

    pauses = [await pause(said) for said in (-1, -1, -1, -2)]
    assert pauses == pytest.approx([20, 40, 80, 20], abs=5)


async def opened(pages: PageCache, holder: str, since_ms: int = 1 << 62, age_ms: int = 0) -> tuple[str, bytes | None]:
    return await pages.open("p", holder, since_ms=since_ms, age_ms=age_ms, lease_ms=60_000)


async def test_one_fetches_and_the_others_wait(pages: PageCache) -> None:
    assert await opened(pages, "a") == ("fetch", None)
    assert await opened(pages, "b") == ("wait", None)
    assert await opened(pages, "a") == ("fetch", None)  # asked again after a lost answer
    before_ms = int(time.time() * 1_000) - 1_000
    await pages.keep("p", "a", b"text", keep_ms=60_000, fresh_ms=0)
    assert await opened(pages, "b", since_ms=before_ms) == ("kept", b"text")
    assert await opened(pages, "b", age_ms=60_000) == ("kept", b"text")
    assert await opened(pages, "b") == ("fetch", b"text")


async def test_who_finds_nothing_leaves_the_fetch_to_another(pages: PageCache) -> None:
    await opened(pages, "a")
    await pages.keep("p", "a", b"", keep_ms=0, fresh_ms=0)
    assert await opened(pages, "b") == ("fetch", None)


async def test_who_is_at_it_for_long_says_so(ledger_server: ValkeyServer) -> None:
    redis = connect(ledger_server.url, max_connections=1)
    cache = RedisPages(redis, 1_000)
    try:
        await cache.open("p", "a", since_ms=0, age_ms=0, lease_ms=30_000)
        await cache.renew("p", "b", lease_ms=1)
        assert await opened(cache, "b") == ("wait", None)
        await cache.renew("p", "a", lease_ms=60_000)
        assert await redis.pttl("cf:page:p:holder") > 40_000
        await cache.renew("p", "a", lease_ms=1)
        async with asyncio.timeout(PATIENCE_S):
            while await opened(cache, "b") != ("fetch", None):  # noqa: ASYNC110  # the server's clock
                await asyncio.sleep(0.01)
    finally:
        await cache.close()


async def test_a_page_that_calls_itself_fresh_serves_all(pages: PageCache) -> None:
    await opened(pages, "a")
    await pages.keep("p", "a", b"text", keep_ms=60_000, fresh_ms=60_000)
    assert await opened(pages, "b") == ("kept", b"text")


async def test_pages_take_no_more_bytes_than_they_may(ledger_server: ValkeyServer) -> None:
    redis: Any = connect(ledger_server.url, max_connections=1)
    cache = RedisPages(redis, 80_000)
    try:
        for number in range(20):
            await cache.open(str(number), "a", since_ms=0, age_ms=0, lease_ms=60_000)
            await cache.keep(str(number), "a", bytes(10_000), keep_ms=60_000 + number, fresh_ms=60_000)
        await cache.keep("large", "a", bytes(10_001), keep_ms=60_000, fresh_ms=60_000)
        found = [(await cache.open(str(n), "b", since_ms=0, age_ms=0, lease_ms=60_000))[0] for n in range(20)]
        assert found == ["fetch"] * 12 + ["kept"] * 8
        assert int(await redis.get("cf:pages:bytes")) == 80_000
        names = [name for name in await redis.keys("cf:page:*") if not name.endswith(b":holder")]
        assert len(names) == await redis.zcard("cf:pages") == await redis.hlen("cf:pages:sizes") == 8
        assert all([0 < await redis.pttl(name) <= 60_020 for name in names])
    finally:
        await cache.close()


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as served:
        yield served


def fetcher_on(address: str, limits: HostLimits | None = None, sharing: SharingLimits | None = None) -> GuardedFetcher:
    """As a worker process has it."""
    guard = AddressGuard(["127.0.0.1"])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return GuardedFetcher(
        guard,
        connections=GuardedConnections(GuardedBackend(guard), limit=100, ssl_context=tls),
        visits=HostVisits(RedisHosts(connect(address, max_connections=4)), limits),
        robots_age_s=60.0,
        sharing=SharedPages(RedisPages(connect(address, max_connections=4), 10_000_000), sharing),
    )


async def test_two_processes_together_keep_to_a_hosts_limit(ledger_server: ValkeyServer, site: Site) -> None:
    pods = [fetcher_on(ledger_server.url, HostLimits(at_once=3)) for _ in range(2)]
    try:
        urls = [site.url(f"/short-wait?n={number}") for number in range(12)]
        pages = await asyncio.gather(*(pods[n % 2].fetch(url, mode="auto") for n, url in enumerate(urls)))
    finally:
        await asyncio.gather(*(pod.close() for pod in pods))
    assert len({page.url for page in pages}) == 12
    assert site.most_at_once == 3


async def test_fifty_tasks_that_want_one_page_fetch_it_once(ledger_server: ValkeyServer, site: Site) -> None:
    pods = [fetcher_on(ledger_server.url, sharing=SharingLimits(age_s=0.0)) for _ in range(2)]
    url, now_ms = site.url("/short-wait"), int(time.time() * 1_000)
    try:
        wanted = [pods[n % 2].fetch(url, mode="auto", terms=FetchTerms("acme", since_ms=now_ms)) for n in range(50)]
        pages = await asyncio.gather(*wanted)
        assert (site.hits["/short-wait"], len({page.content_hash for page in pages})) == (1, 1)
        await pods[0].fetch(url, mode="auto", terms=FetchTerms("rival", since_ms=now_ms))
        assert site.hits["/short-wait"] == 2  # a tenant sees nothing of another's, not even that it was there
        await pods[0].fetch(url, mode="auto", terms=FetchTerms("acme", since_ms=int(time.time() * 1_000) + 1_000))
        assert site.hits["/short-wait"] == 3
    finally:
        await asyncio.gather(*(pod.close() for pod in pods))


async def test_a_task_goes_on_with_a_page_that_its_dead_attempt_had_begun(
    ledger_server: ValkeyServer, site: Site
) -> None:
    cache, pod = RedisPages(connect(ledger_server.url, max_connections=1), 1_000_000), fetcher_on(ledger_server.url)
    url = site.url("/bread")
    try:
        key = page_key("acme", "auto", url)
        await cache.open(key, "task-1", since_ms=0, age_ms=0, lease_ms=60_000)
        other = FetchTerms("acme", task="task-2", deadline=time.monotonic() + 0.3)
        with pytest.raises(FetchError) as caught:
            await pod.fetch(url, mode="auto", terms=other)
        assert caught.value.code == "timeout"
        async with asyncio.timeout(PATIENCE_S):
            assert (await pod.fetch(url, mode="auto", terms=FetchTerms("acme", task="task-1"))).url == url
    finally:
        await cache.close()
        await pod.close()


async def test_without_the_server_no_host_is_asked_more_than_it_may(ledger_server: ValkeyServer, site: Site) -> None:
    pod = fetcher_on(ledger_server.url, HostLimits(wait_s=0.5))
    ledger_server.kill()
    try:
        with pytest.raises(FetchError) as caught:
            await pod.fetch(site.url("/bread"), mode="auto")
        assert (caught.value.code, caught.value.retryable) == ("host_busy", True)
        assert site.hits["/bread"] == 0
        with pytest.raises(LedgerUnavailable):
            await RedisPages(connect(ledger_server.url, max_connections=1), 1).open(
                "p", "a", since_ms=0, age_ms=0, lease_ms=1
            )
    finally:
        await pod.close()
        ledger_server.start()
