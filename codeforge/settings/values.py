"""Parts of settings' values."""

import re
from ipaddress import ip_address, ip_network
from typing import Annotated, Any

from pydantic_settings import NoDecode

CommaList = Annotated[tuple[str, ...], NoDecode]

_HOST = re.compile(r"[\w.-]{1,253}|\[[0-9a-fA-F:.]+\]")


def split_commas(value: Any) -> Any:
    """`"a, b"` to `("a", "b")`; anything but a string is returned as it is."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def host(text: str) -> str:
    """A host as it stands in a URL: a name, an IPv4 address, or an IPv6 address in brackets. Raises ValueError."""
    if _HOST.fullmatch(text) is None:
        raise ValueError("expected a host name or an address, without scheme and port")
    return text


def is_network(text: str) -> bool:
    """Whether `text` is a network, or an address."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether binding `host` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
