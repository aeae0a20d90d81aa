"""The outgoing guard: which addresses a client's URL may lead to.

Two checks, neither of which replaces the other. `check_url` reads the URL alone, at submission and at every redirect.
`resolve` asks the name service once and hands back the addresses to dial, so that a name which answers differently
the next time (DNS rebinding) leads nowhere else.

The operator's own services (model, search, stores) are not reached through a guard, and are not admitted by it: a
client must not reach them by naming them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import NoReturn

from codeforge.errors import BlockedAddress, SettingsError
from codeforge.web.addresses import (
    IPAddress,
    IPNetwork,
    canonical_v4,
    folded,
    lenient_v4,
    looks_numeric,
    parse_v6,
    refusal,
)
from codeforge.web.resolver import Resolver, SystemResolver

_URL = re.compile(r"([a-z][a-z0-9+.-]*):(?://([^/?#]*))?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>.*))?", re.DOTALL)
_PORT = re.compile(r"[0-9]{0,5}")
_NAME = re.compile(r"(?=.{1,253}\.?\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*"
                   r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?", re.IGNORECASE)  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class _AllowList:
    names: frozenset[str]
    networks: tuple[IPNetwork, ...]

    @classmethod
    def parse(cls, entries: Sequence[str]) -> "_AllowList":
        """Raises SettingsError for an entry that is neither a host nor a network."""
        names: set[str] = set()
        networks: list[IPNetwork] = []
        for entry in entries:
            host = entry.strip().removeprefix("[").removesuffix("]").lower()
            try:
                networks.append(ip_network(host, strict=False))
            except ValueError:
                if not _NAME.fullmatch(_ascii(host)) or looks_numeric(host):
                    raise SettingsError(
                        f"CODEFORGE_ALLOW_PRIVATE_HOSTS: {entry!r} is neither a host nor a network"
                    ) from None
                names.add(_ascii(host))
        return cls(frozenset(names), tuple(networks))

    def admits(self, address: IPAddress) -> bool:
        return any(address in network for network in self.networks)


class AddressGuard:
    """Refuses every address that is not global unicast, save those that the operator admits.

    `allow_private_hosts` are host names, addresses or networks (CIDR). A listed name is admitted whatever it resolves
    to; a listed address or network admits literals in canonical spelling and names that resolve into it. Raises
    SettingsError for an entry that is neither.
    """

    def __init__(self, allow_private_hosts: Sequence[str] = (), *, resolver: Resolver | None = None) -> None:
        self._allowed = _AllowList.parse(allow_private_hosts)
        self._resolver = resolver or SystemResolver()

    def check_url(self, url: str, field: str) -> None:
        """Checks a URL by its text alone, without DNS.

        Raises BlockedAddress naming `field`: code `invalid_url` for what is no URL at all, else `blocked_address` for a
        wrong scheme, userinfo, or a literal address that is not admitted, in any spelling. The message tells why; of
        the URL it holds at most the scheme or the host.
        """
        match = None if _CONTROL.search(url) else _URL.match(url)
        if match is None:
            _refuse("is not an absolute URL", field, code="invalid_url")
        scheme, authority = match[1].lower(), match[2]
        if scheme not in ("http", "https"):
            _refuse(f"has the scheme {scheme[:20]!r}; only http and https are fetched", field)
        if not authority:
            _refuse("names no host", field, code="invalid_url")
        if "@" in authority:
            _refuse("holds a user name or password, which is not allowed", field)
        parts = _AUTHORITY.fullmatch(authority)
        if parts is None:
            _refuse("has a host that cannot be read", field, code="invalid_url")
        if not _is_port(parts["port"]):
            _refuse("has a port that is not between 1 and 65535", field, code="invalid_url")
        if parts["v6"] is not None:
            self._check_v6(parts["v6"], field)
        else:
            self._check_name(parts["name"], field)

    async def resolve(self, host: str, port: int) -> list[IPAddress]:
        """The addresses to dial for `host` (a name, or a literal without brackets), each once, in the resolver's order.

        Asks once, within the resolver's time limit. Raises BlockedAddress when the host is spelled as it must not be or
        when any of its addresses is not admitted, and FetchError `dns_failed` when there is none.
        """
        if ":" in host:
            self._check_v6(host, "url")
        else:
            self._check_name(host, "url")
        literal = parse_v6(host) or canonical_v4(host)
        if literal is not None:
            return [literal]
        addresses = list(dict.fromkeys(await self._resolver(_ascii(host), port)))
        if _ascii(host).lower() not in self._allowed.names:
            for address in addresses:
                why = refusal(address)
                if why is not None and not self._allowed.admits(address):
                    _refuse(f"leads to an address that {why} ({host[:100]} resolves to {address})", "url")
        return addresses

    def _check_v6(self, text: str, field: str) -> None:
        if "%" in text:
            _refuse("has an IPv6 address with a zone", field)
        address = parse_v6(text)
        if address is None:
            _refuse("has a host that is no IPv6 address", field, code="invalid_url")
        why = refusal(address)
        if why is None:
            return
        if str(address) != text.lower():
            _refuse(f"names an address that {why}, in an unusual spelling", field)
        self._check_literal(address, field)

    def _check_name(self, host: str, field: str) -> None:
        """A name, or an IPv4 address in any spelling. A numeric host that is not canonical is refused even where it is
        global: programs disagree on what it means (010.8.8.8 is 8.8.8.8 to some, 10.8.8.8 to others)."""
        address = canonical_v4(host)
        if address is not None:
            self._check_literal(address, field)
            return
        plain = folded(host)
        if looks_numeric(plain):
            meant = lenient_v4(plain)
            why = (refusal(meant) if meant is not None else None) or "is a number"
            _refuse(f"names an address that {why}, in an unusual spelling", field)
        if "%" in host:
            _refuse("has a percent-encoded host", field)
        if not _NAME.fullmatch(_ascii(host)):
            _refuse("has a host that is no valid name", field, code="invalid_url")

    def _check_literal(self, address: IPAddress, field: str) -> None:
        why = refusal(address)
        if why is not None and not self._allowed.admits(address):
            _refuse(f"names an address that {why} ({address})", field)


def _refuse(why: str, field: str, *, code: str | None = None) -> NoReturn:
    raise BlockedAddress(f"{field} {why}", field=field, code=code)


def _is_port(text: str | None) -> bool:
    if not text:
        return True  # absent or empty: the scheme's own (RFC 3986, 3.2.3)
    return _PORT.fullmatch(text) is not None and 1 <= int(text) <= 65_535


def _ascii(host: str) -> str:
    """The host in the form that is looked up (RFC 5891), or "" when it has none."""
    if host.isascii():
        return host
    import idna  # only for the few names that need it

    try:
        return idna.encode(host.lower()).decode("ascii")
    except idna.IDNAError:
        return ""
