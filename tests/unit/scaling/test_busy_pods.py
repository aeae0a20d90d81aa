"""Which pods are marked, when, and what an API server that fails does to it: nothing but a count."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from codeforge.errors import (
    ClusterBusy,
    ClusterForbidden,
    ClusterUnavailable,
    LedgerUnavailable,
    PodChanged,
    SettingsError,
)
from codeforge.kubernetes.memory import MemoryPods
from codeforge.kubernetes.port import Pod
from codeforge.ledger.fleet_port import WorkerLoad
from codeforge.ledger.memory import MemoryLedger
from codeforge.ledger.port import QueueDepth, WorkerRecord
from codeforge.metrics import MARKS
from codeforge.scaling.busy_pods import LONGEST_PAUSE_S, PERIOD_S, BusyPods, near_scale_in
from codeforge.settings import load_settings
from codeforge.wiring.busy_pods import busy_pods
from codeforge.worker_types import WorkerType
from tests.factories import new_task
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.anyio

SLOTS = 2


class Fleet(MemoryLedger):
    """Pods of two slots each, by name with the tasks that they run."""

    def __init__(self, **running: int) -> None:
        super().__init__()
        self.loaded = running

    async def loads(self) -> Sequence[WorkerLoad]:
        await self._reached()
        return [load(name, running) for name, running in self.loaded.items()]


def load(name: str, running: int, types: Sequence[WorkerType] = (WorkerType.SCRAPE,)) -> WorkerLoad:
    return WorkerLoad(WorkerRecord(f"{name}:1:x", types, SLOTS, name), running)


def depths(**tasks: tuple[int, int]) -> dict[WorkerType, QueueDepth]:
    counts = {worker_type: tasks.get(worker_type.value, (0, 0)) for worker_type in WorkerType}
    return {kind: QueueDepth(queued, running, 0, 0, 0, 0, 0.0) for kind, (queued, running) in counts.items()}


def marking(ledger: MemoryLedger, pods: MemoryPods, *, leads: bool = True) -> BusyPods:
    return BusyPods(ledger, pods, lambda: leads)


def marks(ledger: MemoryLedger) -> dict[str, float]:
    return {name.removeprefix("pod_marks:"): n for name, n in ledger.counters.items() if name.startswith("pod_marks:")}


@pytest.mark.parametrize(
    ("queued", "running", "near"),
    [(0, 0, True), (0, 4, True), (1, 3, True), (1, 4, False), (5, 1, False), (90, 0, False)],
)
def test_scale_in_is_near_when_fewer_pods_are_wanted_than_run(queued: int, running: int, near: bool) -> None:
    loads = [load("a", 2), load("b", 1), load("c", 0)]
    found = near_scale_in(depths(scrape=(queued, running)), loads, 0)
    assert found == ({"a": True, "b": True, "c": False} if near else {})


def test_pod_whose_worker_was_started_anew_is_one_pod() -> None:
    loads = [load("a", 0), load("a", 1), load("b", 2)]
    assert near_scale_in(depths(scrape=(0, 3)), loads, 0) == {}
    assert near_scale_in(depths(scrape=(0, 2)), loads, 0) == {"a": True, "b": True}


def test_each_type_s_pods_are_counted_by_themselves() -> None:
    coding = [WorkerType.CODING]
    loads = [load("s1", 2), load("s2", 2), load("c1", 1, coding), load("c2", 0, coding)]
    assert near_scale_in(depths(scrape=(1, 4), coding=(0, 1)), loads, 0) == {"c1": True, "c2": False}


def test_workers_of_several_types_are_needed_by_all_of_them() -> None:
    both = [WorkerType.SCRAPE, WorkerType.CODING]
    loads = [load("a", 1, both), load("b", 2, both[::-1])]
    assert near_scale_in(depths(scrape=(0, 2), coding=(0, 1)), loads, 0) == {}
    assert near_scale_in(depths(scrape=(0, 1), coding=(0, 1)), loads, 0) == {"a": True, "b": True}


def test_tasks_that_may_not_run_keep_no_pod() -> None:
    loads = [load("a", 2), load("b", 0)]
    assert near_scale_in(depths(scrape=(9, 2)), loads, 0) == {}
    assert near_scale_in(depths(scrape=(9, 2)), loads, max_agents=2) == {"a": True, "b": False}


async def test_busy_pods_are_marked_and_idle_ones_left_as_they_are() -> None:
    ledger, pods = Fleet(a=1, b=0, c=0), MemoryPods("a", "b", "c", "of-another")
    assert await marking(ledger, pods).look() == PERIOD_S
    assert pods.writes == [("a", 1)]
    assert marks(ledger) == {"written": 1}


async def test_mark_is_changed_with_the_load_and_written_once() -> None:
    ledger, pods = Fleet(a=1, b=0), MemoryPods("a", "b")
    loop = marking(ledger, pods)
    for _ in range(3):
        await loop.look()
    ledger.loaded = {"a": 0, "b": 1}
    for _ in range(3):
        await loop.look()
    assert pods.writes == [("a", 1), ("b", 1), ("a", 0)], "the busy one first"


async def test_nothing_is_asked_or_written_while_no_scale_in_is_near() -> None:
    ledger, pods = Fleet(a=1, b=0), MemoryPods("a", "b")
    await ledger.submit([new_task() for _ in range(4)])
    assert await marking(ledger, pods).look() == PERIOD_S
    assert (pods.lists, pods.writes) == (0, [])


async def test_reaper_that_does_not_lead_looks_at_nothing() -> None:
    ledger, pods = Fleet(a=1, b=0), MemoryPods("a", "b")
    ledger.down = True
    assert await marking(ledger, pods, leads=False).look() == PERIOD_S
    assert pods.lists == 0


async def test_pod_that_is_leaving_is_left_alone() -> None:
    ledger, pods = Fleet(a=1, b=0), MemoryPods("b")
    pods.pods["a"] = Pod("a", "uid", leaving=True)
    await marking(ledger, pods).look()
    assert pods.writes == []


async def test_writes_of_one_look_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.scaling.busy_pods.MAX_WRITES", 2)
    ledger, pods = Fleet(a=1, b=1, c=1, d=0), MemoryPods("a", "b", "c", "d")
    loop = marking(ledger, pods)
    await loop.look()
    assert len(pods.writes) == 2
    await loop.look()
    assert sorted(pods.writes) == [("a", 1), ("b", 1), ("c", 1)]


async def test_pod_that_went_meanwhile_holds_up_no_other() -> None:
    ledger, pods = Fleet(a=1, b=1, c=0), MemoryPods("a", "b", "c")
    pods.failures = [None, PodChanged("gone")]
    assert await marking(ledger, pods).look() == PERIOD_S
    assert pods.writes == [("b", 1)]
    assert marks(ledger) == {"pod_changed": 1, "written": 1}


@pytest.mark.parametrize(
    ("error", "pause_s"),
    [
        (ClusterUnavailable("away"), PERIOD_S),
        (ClusterForbidden("no right"), PERIOD_S),
        (ClusterBusy("later", retry_after_s=40), 40),
        (ClusterBusy("later", retry_after_s=86_400), LONGEST_PAUSE_S),
    ],
)
async def test_failure_is_counted_and_logged_and_the_server_left_alone(
    error: ClusterUnavailable, pause_s: float
) -> None:
    ledger, pods = Fleet(a=1, b=0), MemoryPods("a", "b")
    pods.failures = [None, error]
    with capture_logs() as logs:
        assert await marking(ledger, pods).look() == pause_s
    assert [(entry["event"], entry["code"]) for entry in logs] == [("busy_pods_not_marked", error.code)]
    assert marks(ledger) == {error.code: 1}
    assert error.code in MARKS


async def test_pauses_grow_while_it_fails_and_are_short_again_after() -> None:
    ledger, pods = Fleet(a=1, b=0), MemoryPods("a", "b")
    pods.failures = [ClusterUnavailable("away")] * 6
    loop = marking(ledger, pods)
    paused = [await loop.look() for _ in range(7)]
    assert paused == [15, 30, 60, 120, 240, 300, 15]
    assert pods.writes == [("a", 1)]


async def test_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(MemoryPods):
        async def list(self) -> Sequence[Pod]:
            await asyncio.Event().wait()
            return ()

    monkeypatch.setattr("codeforge.scaling.busy_pods.LOOK_S", 0.01)
    ledger = Fleet(a=1, b=0)
    await marking(ledger, Hanging("a", "b")).look()
    assert marks(ledger) == {"cluster_unavailable": 1}


async def test_outage_of_the_ledger_is_no_idle_fleet() -> None:
    ledger, pods = Fleet(a=0, b=0), MemoryPods("a", "b")
    pods.pods["a"] = replace(pods.pods["a"], deletion_cost=1)
    ledger.down = True
    with capture_logs() as logs:
        assert await marking(ledger, pods).look() == PERIOD_S
    assert [entry["event"] for entry in logs] == ["busy_pods_unknown"]
    assert pods.writes == []


async def test_count_that_cannot_be_kept_is_logged() -> None:
    class Forgetful(Fleet):
        async def add_counters(self, deltas: object) -> None:
            raise LedgerUnavailable("away")

    pods = MemoryPods("a", "b")
    with capture_logs() as logs:
        await marking(Forgetful(a=1, b=0), pods).look()
    assert pods.writes == [("a", 1)]
    assert [entry["event"] for entry in logs] == ["pod_marks_not_counted"]


async def test_loop_looks_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Watched(MemoryPods):
        async def list(self) -> Sequence[Pod]:
            if self.lists == 2:
                often.set()
            return await super().list()

    monkeypatch.setattr("codeforge.scaling.busy_pods.PERIOD_S", 0.001)
    often, pods = asyncio.Event(), Watched("a", "b")
    loop = asyncio.create_task(marking(Fleet(a=1, b=0), pods).run())
    async with asyncio.timeout(PATIENCE_S):
        await often.wait()
    loop.cancel()
    assert pods.writes == [("a", 1)]


async def test_marking_pods_needs_a_service_account(tmp_path: Path) -> None:
    given = {"MARK_BUSY_PODS": "true", "SCALABILITY_MODE": "kubernetes", "KUBERNETES_ACCOUNT_DIR": str(tmp_path)}
    with pytest.raises(SettingsError, match="CODEFORGE_MARK_BUSY_PODS: no ServiceAccount in"):
        async with busy_pods(load_settings(given), lambda: True):
            pass


async def test_pods_are_not_marked_unless_it_is_wanted() -> None:
    async with busy_pods(load_settings(), lambda: True) as loops:
        assert loops == ()
