"""What KEDA's metrics-api trigger is told."""

import asyncio

import pytest

from codeforge.ledger.admission import Caps, TenantCaps
from codeforge.ledger.memory import MemoryLedger
from codeforge.ledger.port import LedgerSnapshot, QueueDepth
from codeforge.scaling.demand import Demand, demand_of
from codeforge.worker_types import WorkerType
from tests.unit.api.door import Door, opened, problem_of

pytestmark = pytest.mark.anyio


def depth(queued: int = 0, running: int = 0) -> QueueDepth:
    return QueueDepth(queued, running, delayed=0, dead=0, workers=0, slots=0, oldest_queued_s=0.0)


async def test_value_is_what_waits_and_what_runs(door: Door) -> None:
    await door.submitted(delay_s=60)
    await door.submitted()
    await door.submitted()
    await door.claimed(await door.submitted())
    answer = await door.http.get("/autoscale/scrape")
    assert (answer.status_code, answer.json()) == (200, {"type": "scrape", "value": 3, "queued": 2, "running": 1})
    assert (await door.http.get("/autoscale/coding")).json()["value"] == 0


async def test_projector_s_value_is_what_is_not_stored(door: Door) -> None:
    await door.finished(await door.submitted())
    assert (await door.http.get("/autoscale/projector")).json() == {"type": "projector", "value": 1}


@pytest.mark.parametrize("name", ["sing", "general", "Coding"])
async def test_unknown_type_is_named(door: Door, name: str) -> None:
    problem = problem_of(await door.http.get(f"/autoscale/{name}"), 422)
    assert (problem["code"], problem["field"]) == ("invalid_input", "type")


@pytest.mark.parametrize("name", ["scrape", "projector"])
async def test_outage_is_503_and_no_zero(door: Door, name: str) -> None:
    door.ledger.down = True
    assert problem_of(await door.http.get(f"/autoscale/{name}"), 503)["code"] == "ledger_unavailable"


async def test_ledger_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(MemoryLedger):
        async def snapshot(self) -> LedgerSnapshot:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr("codeforge.api.operations.AUTOSCALE_TIMEOUT_S", 0.01)
    async with opened(Hanging()) as door:
        assert problem_of(await door.http.get("/autoscale/scrape"), 503)["code"] == "ledger_unavailable"


async def test_held_tasks_ask_for_no_pod() -> None:
    async with opened(MemoryLedger(caps=Caps(running=TenantCaps(1)))) as door:
        for _ in range(3):
            await door.submitted()
        assert (await door.http.get("/autoscale/scrape")).json()["value"] == 1


async def test_no_more_pods_are_asked_for_than_may_run() -> None:
    async with opened(MemoryLedger(caps=Caps(agents=2)), max_agents=2) as door:
        for _ in range(5):
            await door.submitted()
        assert (await door.http.get("/autoscale/scrape")).json()["value"] == 2


def test_tasks_of_another_type_may_have_taken_the_room() -> None:
    depths = {worker_type: depth() for worker_type in WorkerType}
    depths |= {WorkerType.SCRAPE: depth(queued=8), WorkerType.CODING: depth(queued=8, running=7)}
    assert demand_of(depths, WorkerType.SCRAPE, max_agents=10) == Demand(queued=3, running=0)
    assert demand_of(depths, WorkerType.CODING, max_agents=10) == Demand(queued=3, running=7)
    assert demand_of(depths, WorkerType.SCRAPE, max_agents=5) == Demand(queued=0, running=0)
    assert demand_of(depths, WorkerType.SCRAPE) == Demand(queued=8, running=0)
