"""Asking the name service, within a time limit and off the event loop."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Protocol

from codeforge.errors import FetchError
from codeforge.web.addresses import IPAddress

TIMEOUT_S = 5.0
THREADS = 16


class Resolver(Protocol):
    """Port: a name's addresses, best first; at least one. Raises FetchError `dns_failed`."""

    async def __call__(self, host: str, port: int) -> list[IPAddress]:
        """Asks once."""
        ...


class SystemResolver:
    """getaddrinfo(3) in threads of its own, so that a name service that hangs holds up no other work of the loop."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._threads: ThreadPoolExecutor | None = None

    async def __call__(self, host: str, port: int) -> list[IPAddress]:
        """Raises FetchError `dns_failed`; `retryable` where the name service gave no answer."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="dns")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                answers = await loop.run_in_executor(self._threads, _ask, host, port)
        except TimeoutError as exc:
            raise _failed(host, "the name service did not answer in time", retryable=True) from exc
        except socket.gaierror as exc:
            raise _failed(host, "the name has no address", retryable=exc.errno == socket.EAI_AGAIN) from exc
        except (OSError, UnicodeError) as exc:
            raise _failed(host, "the name cannot be looked up", retryable=False) from exc
        if not answers:
            raise _failed(host, "the name has no address", retryable=False)
        return answers


def _ask(host: str, port: int) -> list[IPAddress]:
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [ip_address(sockaddr[0]) for family, *_, sockaddr in answers if family in (socket.AF_INET, socket.AF_INET6)]


def _failed(host: str, why: str, *, retryable: bool) -> FetchError:
    return FetchError(f"{host[:100]}: {why}", code="dns_failed", url=host, retryable=retryable)
