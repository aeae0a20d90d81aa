"""Where `codeforge doctor` looks for each part, and which settings say so. Nothing secret is shown."""

from collections.abc import Callable
from urllib.parse import urlsplit

from codeforge.sentinel import is_sentinel, parse_sentinel
from codeforge.settings import Settings

ADDRESSES: dict[str, tuple[Callable[[Settings], str | None], str]] = {
    "redis": (lambda settings: settings.redis_address, "REDIS_URL or REDIS_HOST or REDIS_SENTINELS, REDIS_PASSWORD"),
    "graph": (lambda settings: settings.neo4j_address, "NEO4J_URI or NEO4J_HOST, NEO4J_USER, NEO4J_PASSWORD"),
    "vectors": (lambda settings: settings.qdrant_address, "QDRANT_URL or QDRANT_HOST, QDRANT_API_KEY"),
    "embeddings": (lambda settings: settings.embeddings_base_url, "EMBEDDINGS_BASE_URL, EMBEDDINGS_API_KEY"),
}


def looked_at(part: str, settings: Settings) -> str:
    """Such as `127.0.0.1:6379, by REDIS_URL or ...`; empty for a part that has no address."""
    address_of, names = ADDRESSES.get(part, (lambda _: None, ""))
    address = address_of(settings)
    return f"{_place(address)}, by {names}" if address is not None else ""


def _place(address: str) -> str:
    """Host and port alone: logins and parameters may hold passwords."""
    if is_sentinel(address):
        return ", ".join(f"{host}:{port}" for host, port in parse_sentinel(address).hosts)
    parts = urlsplit(address)
    if parts.scheme == "unix":
        return parts.path
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port is not None else ""
    return f"{f'[{host}]' if ':' in host else host}{port}"
