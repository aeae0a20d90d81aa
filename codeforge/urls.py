"""One spelling for one address, so that a page has one Document however it was written."""

import re

_WEB_ADDRESS = re.compile(r"(https?)://([^/?]*)(.*)", re.ASCII | re.IGNORECASE | re.DOTALL)
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:]*)(?::([0-9]*))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_PORT_DIGITS = 5


def canonical_url(url: str) -> str:
    """The URL with scheme and host in lower case, without default port and fragment, and with "/" for an empty path.

    Path and query stay as they are: servers may tell them apart. These are the normalisations of RFC 3986, 6.2.2.1
    and 6.2.3, that are safe for every server. Anything but an http or https URL only loses its fragment. Never raises.
    """
    bare = url.partition("#")[0].strip()
    match = _WEB_ADDRESS.fullmatch(bare)
    if match is None:
        return bare
    scheme = match[1].lower()
    userinfo, at, host_and_port = match[2].rpartition("@")
    path = match[3] if match[3].startswith("/") else f"/{match[3]}"
    return f"{scheme}://{userinfo}{at}{_without_default_port(scheme, host_and_port.lower())}{path}"


def is_web_url(url: str) -> bool:
    """Whether the URL names a page: http or https, with a host."""
    match = _WEB_ADDRESS.match(url)
    return match is not None and match[2] != ""


def _without_default_port(scheme: str, host_and_port: str) -> str:
    match = _HOST_AND_PORT.fullmatch(host_and_port)
    if match is None or match[2] is None:
        return host_and_port
    host, port = match[1], match[2]
    if port == "" or (len(port) <= _MAX_PORT_DIGITS and int(port) == _DEFAULT_PORTS[scheme]):
        return host
    return host_and_port
