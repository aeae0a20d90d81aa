"""Connections go where the guard said, and nowhere else: seen from the socket."""

import asyncio
import ipaddress
import ssl
from collections.abc import Iterable

import httpcore
import pytest

from codeforge.errors import FetchError
from codeforge.web.addresses import IPAddress
from codeforge.web.connections import GuardedBackend, GuardedConnections
from codeforge.web.download import DownloadLimits
from codeforge.web.fetcher import FetchLimits, GuardedFetcher
from codeforge.web.guard import AddressGuard
from tests.servers.site import Site
from tests.unit.web.hostile_urls import NOT_GLOBAL

PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 11\r\nConnection: close\r\n\r\n<p>Hello</p"


class Rebinding:
    """A name service that gives a harmless answer first and a private one ever after."""

    def __init__(self, first: list[str], later: list[str]) -> None:
        self._answers = [first, later]
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[IPAddress]:
        self.asked += 1
        return [ipaddress.ip_address(text) for text in self._answers[min(self.asked, 2) - 1]]


class Dialled(httpcore.AsyncNetworkBackend):
    """Records what is dialled; addresses in `dead` refuse, the others answer one page."""

    def __init__(self, dead: Iterable[str] = ()) -> None:
        self.addresses: list[tuple[str, int]] = []
        self.server_names: list[str | None] = []
        self.sent = b""
        self._dead = set(dead)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.addresses.append((host, port))
        if host in self._dead:
            raise httpcore.ConnectError("refused")
        return _Stream(self)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Stream(httpcore.AsyncMockStream):
    def __init__(self, dialled: Dialled) -> None:
        super().__init__([PAGE])
        self._dialled = dialled

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._dialled.sent += buffer

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        self._dialled.server_names.append(server_hostname)
        return self


def fetch(url: str, guard: AddressGuard, dialled: Dialled) -> None:
    async def run() -> None:
        connections = GuardedConnections(GuardedBackend(guard, dialled), limit=4)
        limits = FetchLimits(page=DownloadLimits(retry_delay_s=0.01))
        fetcher = GuardedFetcher(guard, limits=limits, connections=connections)
        try:
            assert (await fetcher.fetch(url, mode="auto")).markdown == "Hello"
        finally:
            await fetcher.close()

    asyncio.run(run())


def test_a_rebinding_name_is_dialled_at_the_checked_address_only() -> None:
    names, dialled = Rebinding(["1.1.1.1"], ["127.0.0.1"]), Dialled()
    fetch("http://rebind.example/", AddressGuard(resolver=names), dialled)
    assert dialled.addresses == [("1.1.1.1", 80)]
    assert names.asked == 1


def test_a_rebinding_name_is_refused_at_its_next_connection() -> None:
    guard, dialled = AddressGuard(resolver=Rebinding(["1.1.1.1"], ["127.0.0.1"])), Dialled()
    fetch("http://rebind.example/", guard, dialled)
    with pytest.raises(FetchError) as caught:
        fetch("http://rebind.example/", guard, dialled)
    assert caught.value.code == "blocked_address"
    assert dialled.addresses == [("1.1.1.1", 80)]


def test_a_retry_checks_the_name_again() -> None:
    dialled = Dialled(dead=["1.1.1.1"])
    with pytest.raises(FetchError) as caught:
        fetch("http://rebind.example/", AddressGuard(resolver=Rebinding(["1.1.1.1"], ["10.0.0.1"])), dialled)
    assert caught.value.code == "blocked_address"
    assert dialled.addresses == [("1.1.1.1", 80)]


def test_host_and_server_name_stay_those_of_the_url() -> None:
    dialled = Dialled()
    fetch("https://secure.example:8443/", AddressGuard(resolver=Rebinding(["1.1.1.1"], [])), dialled)
    assert dialled.addresses == [("1.1.1.1", 8443)]
    assert dialled.server_names == ["secure.example"]
    assert b"\r\nhost: secure.example:8443\r\n" in dialled.sent.lower()


def test_the_next_address_is_tried_when_one_refuses() -> None:
    dialled = Dialled(dead=["2606:4700::1"])
    fetch("http://two.example/", AddressGuard(resolver=Rebinding(["2606:4700::1", "1.1.1.1"], [])), dialled)
    assert dialled.addresses == [("2606:4700::1", 80), ("1.1.1.1", 80)]


def test_no_unix_socket_is_ever_dialled() -> None:
    with pytest.raises(httpcore.UnsupportedProtocol):
        asyncio.run(GuardedBackend(AddressGuard()).connect_unix_socket("socket"))


def test_blocked_addresses_are_never_dialled() -> None:
    """Every hostile spelling, then redirects and a name to the site's own socket: it sees no connection."""

    async def run(site: Site) -> list[str]:
        fetcher = GuardedFetcher(AddressGuard())
        hostile = [*NOT_GLOBAL, site.url("/bread"), f"http://localhost:{site.port}/", f"http://127.1:{site.port}/"]
        hostile += [f"http://[::ffff:7f00:1]:{site.port}/", f"http://2130706433:{site.port}/"]
        codes = []
        for url in hostile:
            with pytest.raises(FetchError) as caught:
                await fetcher.fetch(url, mode="auto")
            codes.append(caught.value.code)
        await fetcher.close()
        return codes

    with Site() as site:
        assert set(asyncio.run(run(site))) == {"blocked_address"}
        assert site.connections == 0


def test_a_redirect_to_a_blocked_address_is_never_dialled() -> None:
    async def run(site: Site, secret: Site) -> None:
        fetcher = GuardedFetcher(AddressGuard(["localhost"]))
        for target in (
            f"http://127.0.0.1:{secret.port}/",
            f"http://127.1:{secret.port}/",
            f"http://[::ffff:127.0.0.1]:{secret.port}/",
            f"http://user@localhost:{secret.port}/",
            f"//2130706433:{secret.port}/",
            "file:///etc/passwd",
        ):
            with pytest.raises(FetchError) as caught:
                await fetcher.fetch(f"http://localhost:{site.port}/to?url={target}", mode="auto")
            assert caught.value.code == "blocked_address"
        await fetcher.close()

    with Site() as site, Site() as secret:
        asyncio.run(run(site, secret))
        assert secret.connections == 0
        assert site.hits["/to"] == 6
