"""Caps under calls in whatever order: the figures are those of a recount, nobody is over a cap, nobody is forgotten."""

import random
from collections import Counter

import pytest

from codeforge.errors import StaleClaim, StateConflict, TenantQueueFull
from codeforge.ledger.admission import NO_CAPS, Caps, TenantCaps
from codeforge.ledger.port import Outcome, TaskFilter
from codeforge.task import Claim, Task
from codeforge.worker_types import Priority, WorkerType, queue_name
from tests.contract.ledger_engines import FAILURE, SUCCESS, LedgerEngine
from tests.factories import new_task

pytestmark = pytest.mark.anyio

TENANTS = ("acme", "rival", "vip")
TYPES = (WorkerType.SCRAPE, WorkerType.DEBATE)
CAPS = (
    Caps(agents=3),
    Caps(running=TenantCaps(2, {"vip": 0}), queued=TenantCaps(12)),
    Caps(agents=3, running=TenantCaps(2, {"vip": 1})),
)
OUTCOMES = (SUCCESS, SUCCESS, Outcome("failed", error=FAILURE), Outcome("retry", error=FAILURE))
STEPS = 150


class Traffic:
    """Clients, workers and a reaper that do one thing after the other, as `chance` has it."""

    def __init__(self, cf: LedgerEngine, caps: Caps, chance: random.Random) -> None:
        self._cf = cf
        self._caps = caps
        self._chance = chance
        self._tasks: list[tuple[str, str]] = []
        self._claims: list[Claim] = []

    async def step(self) -> None:
        """One call, or a few."""
        does = (self._submit, self._hear, self._hear, self._end, self._client, self._crash, self._reap)
        await self._chance.choices(does, (4, 4, 4, 4, 2, 1, 1))[0]()

    async def _submit(self) -> None:
        tenant = self._chance.choice(TENANTS)
        tasks = [
            new_task(
                tenant=tenant,
                type=self._chance.choice(TYPES),
                priority=self._chance.choice(list(Priority)),
                delay_s=self._chance.choice((0, 0, 0, 0.001)),
            )
            for _ in range(self._chance.choice((1, 1, 4)))
        ]
        before = (await self._cf.figures(tenant)).get("waiting", 0)
        cap = self._caps.queued.of(tenant)
        try:
            await self._cf.ledger.submit(tasks)
        except TenantQueueFull:
            assert cap < before + len(tasks)
        else:
            assert not cap or cap >= before + len(tasks)
            self._tasks += [(tenant, task.id) for task in tasks]

    async def _hear(self) -> None:
        """A worker hears rings, of which some name tasks that cannot be claimed."""
        queues = [queue_name(kind, priority) for kind in TYPES for priority in Priority]
        ids = [message.task_id for queue in queues for message in await self._cf.messages(queue)]
        for task_id in self._chance.sample(ids, min(len(ids), 3)):
            await self._claim(task_id)

    async def _claim(self, task_id: str) -> None:
        worker = await self._cf.worker(self._chance.choice(("w1", "w2")))
        claimed = await self._cf.ledger.claim(task_id, worker, f"claim {self._chance.random()}")
        if claimed is not None:
            self._claims.append(claimed.claim)

    async def _end(self) -> None:
        if not self._claims:
            return
        claim = self._claims.pop(self._chance.randrange(len(self._claims)))
        try:
            if self._chance.random() < 0.3:
                await self._cf.ledger.hand_back(claim)
            else:
                await self._cf.ledger.finish(claim, self._chance.choice(OUTCOMES))
        except StaleClaim:
            return  # its worker was thought dead

    async def _client(self) -> None:
        if not self._tasks:
            return
        tenant, task_id = self._chance.choice(self._tasks)
        call = self._chance.choice((self._cf.ledger.cancel, self._cf.ledger.replay))
        try:
            await call(tenant, task_id)
        except (StateConflict, TenantQueueFull):
            return

    async def _crash(self) -> None:
        worker = self._chance.choice(("w1", "w2"))
        await self._cf.worker(worker)
        await self._cf.expire_lease(worker)
        await self._cf.reaper.reap()

    async def _reap(self) -> None:
        await self._cf.reaper.reap()

    async def check(self) -> None:
        """Every task is in the one place that its state names, the figures are exact, and no cap is passed."""
        placed = await self._cf.places()
        place_of = {task_id: place for place, task_id in placed}
        assert len(place_of) == len(placed)
        agents = 0
        for tenant in TENANTS:
            tasks = (await self._cf.ledger.list(tenant, TaskFilter(), 500, None)).tasks
            counted = Counter[str]()
            for task in tasks:
                counted.update(_counted(task, place_of.pop(task.id, "")))
            assert await self._cf.figures(tenant) == counted
            cap = self._caps.running.of(tenant)
            assert not cap or counted["running"] <= cap
            agents += counted["running"]
        assert place_of == {}
        assert not self._caps.agents or agents <= self._caps.agents
        depths = (await self._cf.ledger.snapshot()).depths.values()
        places = Counter(place for place, _ in placed)
        assert sum(depth.held for depth in depths) == places["held"] + places["parked"]
        assert sum(depth.held_by_tenant for depth in depths) == places["held"]

    async def finish_all(self) -> None:
        """Everything that was accepted ends, moved by rings alone: nobody is at a gate for ever."""
        while self._claims:
            await self._end()
        for _ in range(40 * len(self._tasks)):
            await self._cf.reaper.reap()
            await self._hear_all()
            for claim in self._claims:
                await self._cf.ledger.finish(claim, SUCCESS)
            self._claims.clear()
            if not await self._cf.places():
                return
        raise AssertionError(f"left: {await self._cf.places()}")

    async def _hear_all(self) -> None:
        for kind in TYPES:
            for priority in Priority:
                queue = queue_name(kind, priority)
                messages = await self._cf.messages(queue)
                await self._cf.lose_messages(queue)
                for message in messages:
                    await self._claim(message.task_id)


def _counted(task: Task, place: str) -> list[str]:
    if task.state.terminal:
        assert place == ""
        return []
    if task.state.value == "running":
        assert place == "running"
        return ["running"]
    assert place in ("held", "parked", "queued", "delayed")
    return ["waiting", *([f"ready:{task.type}"] if place in ("parked", "queued") else [])]


@pytest.mark.parametrize("caps", CAPS, ids=["deployment", "tenants", "both"])
@pytest.mark.parametrize("seed", range(4))
async def test_any_order_of_calls_keeps_the_caps_and_the_figures(cf: LedgerEngine, caps: Caps, seed: int) -> None:
    await cf.cap(caps)
    traffic = Traffic(cf, caps, random.Random(seed))
    for _ in range(STEPS):
        await traffic.step()
        await traffic.check()
    await traffic.finish_all()
    assert [await cf.figures(tenant) for tenant in TENANTS] == [{}, {}, {}]
    await cf.cap(NO_CAPS)
    assert (await cf.reaper.reap()).released == 0
