"""What a client over its limits gets to see."""

import pytest

from codeforge.ledger.admission import Caps, TenantCaps
from codeforge.ledger.memory import MemoryLedger
from tests.unit.api.door import SCRAPE, opened, problem_of

pytestmark = pytest.mark.anyio


async def test_full_queue_is_429_with_a_time_to_come_back_and_nothing_is_enqueued() -> None:
    async with opened(MemoryLedger(caps=Caps(queued=TenantCaps(2)))) as door:
        await door.submitted()
        answer = await door.http.post("/tasks/batch", json={"tasks": [SCRAPE, SCRAPE]})
        assert problem_of(answer, 429)["code"] == "tenant_queue_full"
        assert int(answer.headers["Retry-After"]) > 0
        assert len(door.ledger.rows) == 1
        await door.submitted()


async def test_held_task_is_queued_for_its_client() -> None:
    async with opened(MemoryLedger(caps=Caps(agents=1))) as door:
        await door.submitted()
        held = await door.submitted()
        assert (await door.http.get(f"/tasks/{held}")).json()["state"] == "queued"
        queues = {item["type"]: item for item in (await door.http.get("/queues")).json()["items"]}
        assert (queues["scrape"]["queued"], queues["scrape"]["held"]) == (1, 1)
        metrics = (await door.http.get("/metrics")).text
        assert 'codeforge_tasks_held{cap="agents",type="scrape"} 1.0' in metrics
