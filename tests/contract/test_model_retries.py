"""Which failures of a model's service the client tries again, and how long it waits."""

import time
from email.utils import formatdate
from typing import Any

import pytest

from codeforge.llm import connection
from codeforge.llm.failures import RetryPolicy
from tests.contract.test_model_client import call, error_of, use
from tests.patience import PATIENCE_S
from tests.servers.model import ModelServer, Scripted
from tests.servers.valkey import free_port


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_passing_failure_is_tried_again_twice(status: int) -> None:
    with ModelServer() as server:
        server.scripted = [Scripted(status=status), Scripted(status=status)]
        assert use(server.url, call()).text
        assert len(server.calls) == 3

        server.calls.clear()
        server.scripted = [Scripted(status=status)] * 5
        assert error_of(server.url).retryable
        assert len(server.calls) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 302])
def test_other_failures_are_not_tried_again(status: int) -> None:
    with ModelServer() as server:
        server.scripted = [Scripted(status=status)] * 3
        error_of(server.url)
        assert len(server.calls) == 1


def test_retry_after_in_seconds_is_waited() -> None:
    with ModelServer() as server:
        server.scripted = [Scripted(status=429, headers={"retry-after": "1"})]
        started = time.monotonic()
        use(server.url, call())
        assert 1.0 <= time.monotonic() - started < 30.0


def test_retry_after_as_a_date_is_waited() -> None:
    with ModelServer() as server:
        started = time.monotonic()
        # Dates have whole seconds: up to one less than two seconds from now.
        server.scripted = [Scripted(status=503, headers={"retry-after": formatdate(time.time() + 2, usegmt=True)})]
        use(server.url, call(), retry=RetryPolicy(base_s=0.01, longest_wait_s=5.0))
        assert 0.9 <= time.monotonic() - started < 30.0


def test_a_long_retry_after_is_left_to_the_caller() -> None:
    with ModelServer() as server:
        server.scripted = [Scripted(status=429, headers={"retry-after": "3600"})]
        error = error_of(server.url)
        assert len(server.calls) == 1
    assert (error.code, error.retryable, error.retry_after_s) == ("model_rate_limited", True, 3600.0)


def test_a_timeout_after_sending_is_not_tried_again() -> None:
    with ModelServer() as server:
        server.scripted = [Scripted(hang_s=600.0)]
        error = error_of(server.url, timeout_s=0.7)
        assert server.arrived.wait(PATIENCE_S)
        assert len(server.calls) == 1
    assert (error.code, error.retryable) == ("model_unavailable", True)
    assert "0.7 s" in error.message


def test_a_connection_lost_in_the_answer_is_not_tried_again() -> None:
    with ModelServer() as server:
        server.scripted = [Scripted(drop=True)]
        error = error_of(server.url)
        assert len(server.calls) == 1
    assert (error.code, error.retryable) == ("model_unavailable", True)


def test_a_service_that_is_not_there_is_tried_three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []
    exchange = connection._exchange

    async def counted(*args: Any) -> Any:
        tries.append(args[1])
        return await exchange(*args)

    monkeypatch.setattr(connection, "_exchange", counted)

    error = error_of(f"http://127.0.0.1:{free_port()}/v1")

    assert len(tries) == 3
    assert (error.code, error.retryable) == ("model_unavailable", True)
    assert "cannot connect" in error.message
