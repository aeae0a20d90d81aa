"""The workers as one who scales them sees them."""

import pytest

from codeforge.ledger.port import WorkerRecord
from codeforge.worker_types import WorkerType
from tests.contract.ledger_engines import SUCCESS, LedgerEngine

pytestmark = pytest.mark.anyio


async def test_loads_are_what_live_workers_run(cf: LedgerEngine) -> None:
    record = WorkerRecord("w2", [WorkerType.SCRAPE, WorkerType.CODING], 7, "pod-b")
    await cf.ledger.renew_lease(record)
    first, second = await cf.submitted(), await cf.submitted()
    claimed = await cf.claimed(first.id, "w1")
    await cf.claimed(second.id, "w1")
    await cf.worker("w0")
    await cf.expire_lease("w0")
    loads = {load.worker.id: load for load in await cf.fleet.loads()}
    assert {name: load.running for name, load in loads.items()} == {"w1": 2, "w2": 0}
    assert loads["w2"].worker == record
    await cf.ledger.finish(claimed.claim, SUCCESS)
    assert [load.running for load in await cf.fleet.loads()] == [1, 0]


async def test_worker_of_an_earlier_version_has_no_host(cf: LedgerEngine) -> None:
    await cf.worker("w1")
    assert [load.worker.host for load in await cf.fleet.loads()] == [""]


async def test_fleet_s_snapshot_and_counters_are_the_ledger_s(cf: LedgerEngine) -> None:
    await cf.submitted()
    await cf.fleet.add_counters({"pod_marks:written": 2})
    snapshot = await cf.fleet.snapshot()
    assert snapshot.depths[WorkerType.SCRAPE].queued == 1
    assert snapshot.counters["pod_marks:written"] == 2
    assert snapshot.counters == (await cf.ledger.snapshot()).counters
