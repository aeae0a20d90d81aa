"""The outgoing guard: what it refuses by its text, and what by where it leads."""

import asyncio
import ipaddress
import random
from collections.abc import Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeforge.errors import BlockedAddress, FetchError, SettingsError
from codeforge.web.addresses import IPAddress, lenient_v4, refusal
from codeforge.web.guard import AddressGuard
from tests.unit.web.hostile_urls import ALLOWED, NO_URLS, NOT_ALLOWED, NOT_GLOBAL


def blocked(url: str, guard: AddressGuard | None = None) -> BlockedAddress:
    with pytest.raises(BlockedAddress) as caught:
        (guard or AddressGuard()).check_url(url, "input.urls.0")
    assert caught.value.field == "input.urls.0"
    assert caught.value.message.startswith("input.urls.0 ")
    assert "secret-word" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("url", NOT_GLOBAL + NOT_ALLOWED)
def test_hostile_urls_are_blocked(url: str) -> None:
    assert blocked(url).code == "blocked_address"


@pytest.mark.parametrize("url", NO_URLS)
def test_what_is_no_url_is_refused(url: str) -> None:
    assert blocked(url).code == "invalid_url"


@pytest.mark.parametrize("url", ALLOWED)
def test_ordinary_urls_pass(url: str) -> None:
    AddressGuard().check_url(url, "url")


def test_messages_say_why() -> None:
    assert "is loopback (127.0.0.1)" in blocked("http://127.0.0.1/").message
    assert "is loopback, in an unusual spelling" in blocked("http://0x7f.1/").message
    assert "is link-local" in blocked("http://169.254.169.254/").message
    assert "only http and https" in blocked("file:///etc/passwd").message
    assert "user name or password" in blocked("http://user:secret-word@example.org/").message


@pytest.mark.parametrize("url", [*NOT_GLOBAL, *ALLOWED])
def test_the_guard_and_the_client_read_the_same_host(url: str) -> None:
    """What the guard lets pass, httpx takes for the same host; so no spelling slips between the two."""
    try:
        AddressGuard().check_url(url, "url")
    except BlockedAddress:
        return
    host = url.split("//")[1].split("/")[0].lower()
    name = host[1:].split("]")[0] if host.startswith("[") else host.split(":")[0]
    assert httpx.URL(url).raw_host.decode().lower() == (name if name.isascii() else name.encode("idna").decode())


ADMITTED = [
    (["127.0.0.1"], "http://127.0.0.1:8080/"),
    (["127.0.0.0/8"], "http://127.9.9.9/"),
    (["::1"], "http://[::1]/"),
    (["[::1]"], "http://[::1]/"),
    (["10.0.0.0/8", "fd00::/8"], "http://[fd12::1]/"),
    ([" 10.1.2.3 "], "http://10.1.2.3/"),
]


@pytest.mark.parametrize(("allowed", "url"), ADMITTED)
def test_the_operator_can_admit_addresses(allowed: list[str], url: str) -> None:
    blocked(url)
    AddressGuard(allowed).check_url(url, "url")


@pytest.mark.parametrize("url", [url for url in NOT_GLOBAL if "127" in url or "7f" in url.lower() or "::" in url][:40])
def test_an_odd_spelling_stays_refused_where_the_address_is_admitted(url: str) -> None:
    guard = AddressGuard(["127.0.0.0/8", "::1", "localhost"])
    canonical = {"http://127.0.0.1/", "http://127.0.0.1:8080/", "http://127.255.255.254/", "http://[::1]/"}
    if url in canonical:
        guard.check_url(url, "url")
    else:
        blocked(url, guard)


def test_admitting_one_network_admits_no_other() -> None:
    guard = AddressGuard(["127.0.0.1", "internal.example"])
    blocked("http://127.0.0.2/", guard)
    blocked("http://10.0.0.1/", guard)
    blocked("http://[::1]/", guard)


@pytest.mark.parametrize("entry", ["10.0.0.0/40", "no host", "http://internal", "*.internal", "", "999.1.1.1", "a:80"])
def test_a_wrong_entry_of_the_allow_list_is_told(entry: str) -> None:
    with pytest.raises(SettingsError, match="CODEFORGE_ALLOW_PRIVATE_HOSTS"):
        AddressGuard([entry])


class Names:
    """A resolver with prepared answers, which it gives in turn; counts the questions."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = [[ipaddress.ip_address(text) for text in answer] for answer in answers]
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[IPAddress]:
        self.asked.append(host)
        return self._answers[min(len(self.asked), len(self._answers)) - 1]


def resolve(names: Names, host: str, allowed: list[str] | None = None) -> list[str]:
    guard = AddressGuard(allowed or [], resolver=names)
    return [str(address) for address in asyncio.run(guard.resolve(host, 80))]


def test_resolve_gives_each_address_once_and_asks_once() -> None:
    names = Names(["1.1.1.1", "2606:4700::1", "1.1.1.1"])
    assert resolve(names, "example.org") == ["1.1.1.1", "2606:4700::1"]
    assert names.asked == ["example.org"]


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        ["1.1.1.1", "10.0.0.1"],
        ["2606:4700::1", "::1"],
        ["::ffff:10.0.0.1"],
        ["64:ff9b::a00:1"],
        ["169.254.169.254"],
        ["100.100.100.200"],
        ["fe80::1%eth0"],
        ["2606:4700::1%eth0"],
    ],
)
def test_a_name_is_refused_when_any_of_its_addresses_is_not_global(answer: list[str]) -> None:
    with pytest.raises(BlockedAddress, match="resolves to"):
        resolve(Names(answer), "example.org")


def test_a_literal_is_not_looked_up() -> None:
    names = Names(["10.0.0.1"])
    assert resolve(names, "8.8.8.8") == ["8.8.8.8"]
    assert resolve(names, "2606:4700::1") == ["2606:4700::1"]
    assert names.asked == []


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "2130706433", "0x7f.1", "fe80::1%eth0", "127.0.0.1.", ""])
def test_resolve_refuses_literals_as_the_text_check_does(host: str) -> None:
    names = Names(["1.1.1.1"])
    with pytest.raises(BlockedAddress):
        resolve(names, host)
    assert names.asked == []


@pytest.mark.parametrize(
    ("allowed", "answer"),
    [
        (["internal.example"], ["10.0.0.1", "127.0.0.1"]),
        (["INTERNAL.example"], ["10.0.0.1"]),
        (["10.0.0.0/8"], ["10.0.0.1", "10.9.9.9", "1.1.1.1"]),
        (["10.0.0.1"], ["10.0.0.1"]),
    ],
)
def test_a_listed_name_or_network_admits_where_a_name_leads(allowed: list[str], answer: list[str]) -> None:
    assert resolve(Names(answer), "Internal.Example", allowed) == answer


def test_a_listed_network_admits_no_other_address_of_the_name() -> None:
    with pytest.raises(BlockedAddress):
        resolve(Names(["10.0.0.1", "192.168.0.1"]), "internal.example", ["10.0.0.0/8"])
    with pytest.raises(BlockedAddress):
        resolve(Names(["10.0.0.1"]), "other.example", ["internal.example"])


def test_an_unknown_name_has_no_address() -> None:
    with pytest.raises(FetchError) as caught:
        asyncio.run(AddressGuard().resolve("no-such-host.invalid", 80))
    assert caught.value.code == "dns_failed"


@given(st.integers(min_value=0, max_value=2**32 - 1), st.randoms(use_true_random=False))
def test_every_spelling_of_an_ipv4_address_is_read_as_it(value: int, dice: random.Random) -> None:
    parts = dice.randint(1, 4)
    numbers = [value >> (24 - 8 * place) & 255 for place in range(parts - 1)]
    numbers.append(value & (256 ** (5 - parts) - 1))
    spellings: list[Callable[[int], str]] = [str, hex, lambda number: f"0{number:o}"]
    text = ".".join(dice.choice(spellings)(number) for number in numbers)
    assert lenient_v4(text + dice.choice(["", "."])) == ipaddress.IPv4Address(value)


@given(st.ip_addresses())
def test_no_address_is_global_here_that_is_not_global_to_python(address: IPAddress) -> None:
    if refusal(address) is None:
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
def test_literals_are_admitted_exactly_when_they_are_global(address: ipaddress.IPv4Address) -> None:
    if refusal(address) is None:
        AddressGuard().check_url(f"http://{address}/", "url")
    else:
        blocked(f"http://{address}/").message.index(str(address))
