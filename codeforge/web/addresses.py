"""Which IP addresses are global unicast, and what a URL's host names.

The networks stand here one by one, because Python's `is_global` differs from one patch release to the next (3.11
calls several of them global). Sources: the IANA special-purpose registries for IPv4 and IPv6 (RFC 6890) and IANA's
IPv6 address space, in which 2000::/3 is all that is global unicast:
https://www.iana.org/assignments/iana-ipv4-special-registry, https://www.iana.org/assignments/iana-ipv6-special-registry
and https://www.iana.org/assignments/ipv6-address-space
"""

import re
import unicodedata
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_NOT_GLOBAL_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "is of this network"),  # RFC 791
        ("10.0.0.0/8", "is private"),  # RFC 1918
        ("100.64.0.0/10", "is shared carrier space"),  # RFC 6598
        ("127.0.0.0/8", "is loopback"),  # RFC 1122
        ("169.254.0.0/16", "is link-local"),  # RFC 3927; cloud metadata services
        ("172.16.0.0/12", "is private"),
        ("192.0.0.0/24", "is for protocol assignments"),  # RFC 6890
        ("192.0.2.0/24", "is for documentation"),  # RFC 5737
        ("192.31.196.0/24", "is an AS112 sink"),  # RFC 7535
        ("192.52.193.0/24", "is a multicast relay"),  # RFC 7450
        ("192.88.99.0/24", "is a 6to4 relay"),  # RFC 7526
        ("192.168.0.0/16", "is private"),
        ("192.175.48.0/24", "is an AS112 sink"),  # RFC 7534
        ("198.18.0.0/15", "is for benchmarks"),  # RFC 2544
        ("198.51.100.0/24", "is for documentation"),
        ("203.0.113.0/24", "is for documentation"),
        ("224.0.0.0/4", "is multicast"),  # RFC 5771
        ("240.0.0.0/4", "is reserved"),  # RFC 1112; broadcast
    )
)

_GLOBAL_V6 = IPv6Network("2000::/3")

_NOT_GLOBAL_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), why)
    for network, why in (
        # Outside of 2000::/3; here for the sake of a telling message.
        ("::/128", "is unspecified"),
        ("::1/128", "is loopback"),
        ("::ffff:0:0/96", "is an IPv4 address in IPv6"),  # RFC 4291, mapped
        ("::/96", "is an IPv4 address in IPv6"),  # RFC 4291, compatible
        ("64:ff9b::/96", "is a NAT64 address"),  # RFC 6052
        ("64:ff9b:1::/48", "is a NAT64 address"),  # RFC 8215
        ("100::/64", "is discard-only"),  # RFC 6666
        ("fc00::/7", "is private"),  # RFC 4193
        ("fe80::/10", "is link-local"),  # RFC 4291
        ("fec0::/10", "is site-local"),  # RFC 3879
        ("ff00::/8", "is multicast"),  # RFC 4291
        # Inside of it.
        ("2001::/23", "is for protocol assignments"),  # RFC 2928; Teredo, ORCHID, benchmarks
        ("2001:db8::/32", "is for documentation"),  # RFC 3849
        ("2002::/16", "is an IPv4 address in IPv6"),  # RFC 3056, 6to4
        ("2620:4f:8000::/48", "is an AS112 sink"),  # RFC 7534
        ("3fff::/20", "is for documentation"),  # RFC 9637
    )
)

_DOTS = str.maketrans({"\u3002": ".", "\uff0e": ".", "\uff61": "."})  # RFC 3490, 3.1
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LAST_LABEL = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.DOTALL)


def refusal(address: IPAddress) -> str | None:
    """Why the address is not global unicast ("is loopback"), or None when it is."""
    if isinstance(address, IPv4Address):
        return next((why for network, why in _NOT_GLOBAL_V4 if address in network), None)
    if address.scope_id is not None:
        return "has a zone"
    told = next((why for network, why in _NOT_GLOBAL_V6 if address in network), None)
    return told if told is not None or address in _GLOBAL_V6 else "is not global unicast"


def parse_v6(text: str) -> IPv6Address | None:
    """The address without brackets that `text` spells (RFC 4291, 2.2), or None. A zone id is no part of one."""
    try:
        return None if "%" in text else IPv6Address(text)
    except AddressValueError:
        return None


def canonical_v4(text: str) -> IPv4Address | None:
    """The address, when `text` is its four decimal numbers without leading zeros."""
    try:
        return IPv4Address(text)
    except AddressValueError:
        return None


def folded(host: str) -> str:
    """The host as compatibility folding leaves it: full-width and other digits and dots become ASCII, letters small."""
    return unicodedata.normalize("NFKC", host.translate(_DOTS)).translate(_DOTS).lower()


def looks_numeric(host: str) -> bool:
    """Whether programs may take the host for an IPv4 address: its last label is a number (WHATWG URL, 3.5)."""
    return _LAST_LABEL.fullmatch(_without_final_dot(host)) is not None


def lenient_v4(host: str) -> IPv4Address | None:
    """The address that C libraries and browsers read in `host`, or None: one to four parts, each decimal, octal (0) or
    hexadecimal (0x), the last one filling the rest, one dot behind it. inet_aton(3) and WHATWG URL, 3.5."""
    parts = _without_final_dot(host).split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    try:
        numbers = [_number(part) for part in parts]
    except ValueError:  # 08 is no octal number
        return None
    *leading, last = numbers
    if any(number > 255 for number in leading) or last >= 256 ** (5 - len(parts)):
        return None
    return IPv4Address(sum(number << (24 - 8 * place) for place, number in enumerate(leading)) + last)


def _number(part: str) -> int:
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8 if part.startswith("0") else 10)


def _without_final_dot(host: str) -> str:
    return host[:-1] if host.endswith(".") else host
