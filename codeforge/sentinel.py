"""Where Sentinels are, and what they watch: the one syntax for every client of a Redis with failover.

    sentinel://[user:password@]host1:26379;host2:26379/0?master_name=mymaster&sentinel_password=...

User and password are those of the data servers. `sentinel_username` and `sentinel_password` are the Sentinels' own.
With `tls=true` both are spoken to over TLS; `ca_file` names certificates that are trusted instead of the system's.
Kombu's form, a whole `sentinel://` URL for each host, is read too. Everything may be percent-encoded.
"""

from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, unquote, urlencode

SCHEME = "sentinel://"
DEFAULT_PORT = 26_379
DEFAULT_MASTER = "mymaster"
MAX_PORT = 65_535
MAX_DIGITS = 5
PARAMETERS = frozenset({"master_name", "sentinel_username", "sentinel_password", "tls", "ca_file"})
TRUTH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """A parsed address. `hosts` are (host, port) of the Sentinels; credentials are None where there are none."""

    hosts: tuple[tuple[str, int], ...]
    master_name: str = DEFAULT_MASTER
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca_file: str | None = None

    @property
    def url(self) -> str:
        """All of it as one address: `parse_sentinel` gives the same back."""
        named = {
            "master_name": self.master_name,
            "sentinel_username": self.sentinel_username,
            "sentinel_password": self.sentinel_password,
            "tls": "true" if self.tls else None,
            "ca_file": self.ca_file,
        }
        query = urlencode({name: value for name, value in named.items() if value is not None})
        return f"{SCHEME}{self._login}{';'.join(self._places)}/{self.db}?{query}"

    @property
    def kombu_url(self) -> str:
        """For kombu: one whole URL for each Sentinel, without the parameters, which are transport options there."""
        return ";".join(f"{SCHEME}{self._login}{place}/{self.db}" for place in self._places)

    @property
    def _login(self) -> str:
        user, password = quote(self.username or "", safe=""), quote(self.password or "", safe="")
        return f"{user}:{password}@" if user or password else ""

    @property
    def _places(self) -> list[str]:
        return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts]

    @property
    def sentinel_login(self) -> dict[str, str]:
        """`username` and `password` for the Sentinels themselves, those that are set."""
        login = {"username": self.sentinel_username, "password": self.sentinel_password}
        return {name: value for name, value in login.items() if value is not None}

    @property
    def tls_options(self) -> dict[str, str]:
        """How the servers' certificates are looked at, in the driver's words; empty without TLS."""
        trusted = {} if self.ca_file is None else {"ssl_ca_certs": self.ca_file}
        return {"ssl_cert_reqs": "required", **trusted} if self.tls else {}


def is_sentinel(address: str) -> bool:
    """Whether the address names Sentinels instead of a server."""
    return address.startswith(SCHEME)


def parse_sentinel(address: str) -> SentinelAddress:
    """The parts of a `sentinel://` address. Raises ValueError that shows nothing of it."""
    if not is_sentinel(address):
        raise ValueError(f"expected {SCHEME}")
    location, _, query = address.partition("?")
    parts = location.replace(SCHEME, "").split(";")
    login, at, _ = parts[0].partition("/")[0].rpartition("@")
    parameters = parse_qs(query, keep_blank_values=True)
    if not PARAMETERS.issuperset(parameters):
        raise ValueError(f"parameters are {', '.join(sorted(PARAMETERS))}")
    username, _, password = login.partition(":")
    one = {name: values[-1] for name, values in parameters.items() if values[-1]}
    return SentinelAddress(
        tuple(sentinel_host(part.partition("/")[0]) for part in parts),
        one.get("master_name", DEFAULT_MASTER),
        _db(parts[-1].partition("/")[2]),
        unquote(username) or None if at else None,
        unquote(password) or None if at else None,
        one.get("sentinel_username"),
        one.get("sentinel_password"),
        _truth(one.get("tls", "false")),
        one.get("ca_file"),
    )


def with_sentinel_password(address: str, password: str) -> str:
    """The address with the Sentinels' own password, unless it holds one."""
    if parse_sentinel(address).sentinel_password is not None:
        return address
    return f"{address}{'&' if '?' in address else '?'}sentinel_password={quote(password, safe='')}"


def sentinel_host(text: str) -> tuple[str, int]:
    """The host and port of `host`, `host:port`, `[v6]:port`. Raises ValueError that shows nothing of it."""
    bare = text.rpartition("@")[2].strip()
    name, colon, digits = bare.rpartition(":")
    if not colon or bare.endswith("]"):
        name, digits = bare, str(DEFAULT_PORT)
    host = name.removeprefix("[").removesuffix("]")
    bracketed = name.startswith("[") and name.endswith("]")
    if not host or not 1 <= _number(digits) <= MAX_PORT or (":" in host and not bracketed) or set(host) & set("/@[] "):
        raise ValueError("expected host:port of each Sentinel, with commas between them (in a URL: ;)")
    return host, int(digits)


def _truth(text: str) -> bool:
    if text not in TRUTH:
        raise ValueError("expected tls=true or tls=false")
    return TRUTH[text]


def _db(text: str) -> int:
    number = _number(text or "0")
    if number < 0:
        raise ValueError("expected the database's number after the /")
    return number


def _number(text: str) -> int:
    """A small number in digits, or -1."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else -1
