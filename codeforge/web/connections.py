"""The connections of guarded fetches: dialled only at addresses that the guard resolved.

httpcore asks its network backend for a TCP connection by the URL's host, and then starts TLS on the stream it got with
the URL's host as the server's name (httpcore 1.0, `_async/connection.py`, `_connect`). So a backend that looks the host
up itself and dials the address keeps Host header, SNI and certificate check as they would be.
"""

import ssl
import time
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager

import httpcore
import httpx

from codeforge.web.guard import AddressGuard

KEEPALIVE_S = 15.0
MAX_IDLE = 10  # httpcore asks each of them for news at every request
MIN_ATTEMPT_S = 0.25


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens TCP connections to the guard's addresses, in their order, until one answers. Raises what the guard raises,
    and httpcore's ConnectError or ConnectTimeout."""

    def __init__(self, guard: AddressGuard, inner: httpcore.AsyncNetworkBackend | None = None) -> None:
        self._guard = guard
        self._inner = inner or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """`timeout`, in seconds, bounds the attempts together; each gets an even share of what is left."""
        addresses = await self._guard.resolve(host, port)
        deadline = None if timeout is None else time.monotonic() + timeout
        failure: Exception = httpcore.ConnectError(f"{host}: no address")
        for index, address in enumerate(addresses):
            share = None
            if deadline is not None:
                left = deadline - time.monotonic()
                share = max(left / (len(addresses) - index), MIN_ATTEMPT_S)
                if left <= 0:
                    raise httpcore.ConnectTimeout("no address answered in time")
            try:
                return await self._inner.connect_tcp(str(address), port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refused: no URL leads to one."""
        raise httpcore.UnsupportedProtocol("a page is never fetched from a Unix socket")

    async def sleep(self, seconds: float) -> None:
        """Waits between httpcore's own retries, which are off."""
        await self._inner.sleep(seconds)


class GuardedConnections:
    """A process's connection pool for pages. It knows no cookies, no credentials, no proxies and no environment, so
    nothing passes from one task's page to another's. HTTP/1.1 only."""

    def __init__(
        self, backend: httpcore.AsyncNetworkBackend, *, limit: int, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context or httpx.create_ssl_context(trust_env=False),
            max_connections=limit,
            max_keepalive_connections=min(limit, MAX_IDLE),
            keepalive_expiry=KEEPALIVE_S,
            network_backend=backend,
        )

    def get(
        self, url: httpx.URL, headers: dict[str, str], timeouts: dict[str, float]
    ) -> AbstractAsyncContextManager[httpcore.Response]:
        """One GET, the body not yet read; leaving the context gives the connection back. Redirects are not followed."""
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        sent = {"Host": url.netloc.decode("ascii"), **headers}
        fields = [(name.encode("ascii"), value.encode("ascii")) for name, value in sent.items()]
        return self._pool.stream("GET", target, headers=fields, extensions={"timeout": timeouts})

    async def close(self) -> None:
        """Closes every connection."""
        await self._pool.aclose()
