"""Asking the name service, within a time limit."""

import asyncio
import socket
import threading
import time
from typing import NoReturn

import pytest

from codeforge.errors import FetchError
from codeforge.web.resolver import SystemResolver


def failure(resolver: SystemResolver, host: str = "name.example") -> FetchError:
    with pytest.raises(FetchError) as caught:
        asyncio.run(resolver(host, 80))
    assert caught.value.code == "dns_failed"
    return caught.value


def test_loopback_has_its_address() -> None:
    assert {str(address) for address in asyncio.run(SystemResolver()("localhost", 80))} <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize(
    ("errno", "retryable"), [(socket.EAI_AGAIN, True), (socket.EAI_NONAME, False), (socket.EAI_FAIL, False)]
)
def test_only_a_passing_failure_is_worth_a_retry(monkeypatch: pytest.MonkeyPatch, errno: int, retryable: bool) -> None:
    def fail(*args: object, **options: object) -> NoReturn:
        raise socket.gaierror(errno, "told by the test")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert failure(SystemResolver()).retryable is retryable


def test_a_name_service_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: released.wait(60) and [])
    started = time.monotonic()
    assert failure(SystemResolver(timeout_s=0.05)).retryable is True
    assert time.monotonic() - started < 30
    released.set()


def test_a_name_without_addresses_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: [])
    assert failure(SystemResolver()).retryable is False


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "nul\x00.example", "\udcff.example"])
def test_a_name_that_cannot_be_asked_fails(host: str) -> None:
    assert failure(SystemResolver(), host).retryable is False
