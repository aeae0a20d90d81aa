"""Rates on a real server, behind the front door: shared by replicas, each tenant's own, closed without a server."""

from collections.abc import AsyncIterator

import httpx
import pytest

from codeforge.errors import LedgerUnavailable, RateLimited
from codeforge.ledger.connection import connect
from codeforge.ledger.rates import RedisRates
from tests.servers.valkey import ValkeyServer
from tests.unit.api.door import SCRAPE, opened, problem_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rates(ledger_server: ValkeyServer) -> AsyncIterator[RedisRates]:
    made = RedisRates(connect(ledger_server.url, max_connections=2), "3/hour")
    yield made
    await made.close()


async def test_a_rate_is_shared_by_replicas_and_is_each_tenant_s_own(
    rates: RedisRates, ledger_server: ValkeyServer
) -> None:
    replica = RedisRates(connect(ledger_server.url, max_connections=2), "3/hour")
    try:
        first = await rates.take("acme", 1)
        assert first is not None
        assert (first.quota, first.window_s, first.remaining) == (3, 3_600, 2)
        assert 0 < first.reset_s <= 3_600
        await replica.take("acme", 1)
        with pytest.raises(RateLimited, match="nothing was accepted") as caught:
            await replica.take("acme", 2)
        assert (caught.value.remaining, caught.value.quota) == (1, 3)
        await rates.take("acme", 1)  # what was refused took nothing
        await rates.take("rival", 3)
        with pytest.raises(RateLimited, match="never fit"):
            await rates.take("third", 4)
    finally:
        await replica.close()


async def test_a_rate_leaves_nothing_for_ever(rates: RedisRates, ledger_server: ValkeyServer) -> None:
    await rates.take("acme", 1)
    async with connect(ledger_server.url, max_connections=1) as redis:
        names = await redis.keys("cf:rate*")
        assert names
        assert all([0 < await redis.ttl(name) <= 2 * 3_600 for name in names])


async def test_front_door_counts_the_tasks_of_a_batch_and_says_when_to_come_back(rates: RedisRates) -> None:
    async with opened(rates=rates) as door:
        answer = await door.http.post("/tasks/batch", json={"tasks": [SCRAPE, SCRAPE]})
        assert answer.status_code == 202
        _is_left(answer, 1)
        answer = await door.http.post("/tasks/batch", json={"tasks": [SCRAPE, SCRAPE]})
        assert problem_of(answer, 429)["code"] == "rate_limited"
        assert 0 < int(answer.headers["Retry-After"]) <= 7_200
        _is_left(answer, 1)
        assert len(door.ledger.rows) == 2
        invalid = await door.http.post("/tasks", json={"type": "scrape", "input": {}})
        assert invalid.status_code == 422
        _is_left(await door.http.post("/tasks", json=SCRAPE), 0)  # bad input had cost nothing


def _is_left(answer: httpx.Response, tasks: int) -> None:
    assert answer.headers["RateLimit-Policy"] == '"submissions";q=3;w=3600'
    assert answer.headers["RateLimit"].startswith(f'"submissions";r={tasks};t=')


async def test_repetition_takes_nothing_and_is_answered_over_the_rate(rates: RedisRates) -> None:
    async with opened(rates=rates) as door:
        key = {"Idempotency-Key": "once"}
        first = await door.http.post("/tasks/batch", json={"tasks": [SCRAPE] * 3}, headers=key)
        _is_left(first, 0)
        again = await door.http.post("/tasks/batch", json={"tasks": [SCRAPE] * 3}, headers=key)
        assert (again.status_code, again.json()) == (202, first.json())
        assert again.headers["Idempotent-Replay"] == "true"
        _is_left(again, 0)
        other = await door.http.post("/tasks", json=SCRAPE, headers=key)
        assert problem_of(other, 409)["code"] == "idempotency_conflict"
        new = await door.http.post("/tasks", json=SCRAPE, headers={"Idempotency-Key": "another"})
        assert problem_of(new, 429)["code"] == "rate_limited"
        assert len(door.ledger.rows) == 3


async def test_without_a_server_nothing_is_accepted(ledger_server: ValkeyServer, rates: RedisRates) -> None:
    ledger_server.kill()
    try:
        with pytest.raises(LedgerUnavailable):
            await rates.take("acme", 1)
        async with opened(rates=rates) as door:
            answer = await door.http.post("/tasks", json=SCRAPE)
            assert problem_of(answer, 503)["code"] == "ledger_unavailable"
            assert door.ledger.rows == {}
    finally:
        ledger_server.start()
