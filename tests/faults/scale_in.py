"""Twenty workers, each a pod, are scaled in to two while they work."""

import random
import signal
import statistics
import time
from collections import Counter

from codeforge.settings import PREFIX
from tests.faults.loads import Load, debates
from tests.faults.replica_set import victims
from tests.faults.rig import Rig
from tests.faults.verdict import Figures, wait_settled
from tests.servers.celery_worker import wait_until

SLOTS = 4
LEFT = 2
NODES = 4
DRAIN_S = 12
"""Longer than the longest model call, so that nothing is cut and no call is paid for twice."""

START_S, MARKED_S, GONE_S, END_S = 180.0, 40.0, DRAIN_S + 15.0, 180.0
BUSY = "1"


def scaled_in(rig: Rig, load: Load, _: Figures) -> str:
    """`load.faults` pods; the idle ones go first and disturb nobody, then all but two, with more work coming."""
    names = _pods(rig, load.faults)
    rig.submit(debates(load.tasks), "load")
    rig.wait_running(load.tasks)
    busy = _marked(rig)
    assert LEFT < len(busy) < len(names), f"{len(busy)} of {len(names)} are busy"
    idle_s = _scale(rig, len(busy))
    assert set(rig.cluster.pods) == busy, "a busy pod went before an idle one"
    assert _handed_back(rig) == 0
    rig.submit(debates(load.tasks // 3), "more")
    busy_s = _scale(rig, LEFT)
    wait_settled(rig, END_S)
    _account(rig)
    return (
        f"{len(names)} workers scaled to {len(busy)}, the {len(idle_s)} idle ones first (drained in {_times(idle_s)}), "
        f"then to {LEFT} ({len(busy_s)} busy ones drained in {_times(busy_s)}); {_handed_back(rig)} tasks handed back"
    )


def _pods(rig: Rig, count: int) -> list[str]:
    names = [f"agent-worker-debate-{number}" for number in range(count)]
    for number, name in enumerate(names):
        command = ("celery", "-A", "workers.main", "worker", "-n", f"{name}@%h", "-l", "INFO")
        rig.add(name, *command, environment={f"{PREFIX}POD_NAME": name}).kept = False
        rig.cluster.add(name, node=f"node-{number % NODES}")
    wait_until(lambda: int(rig.redis.zcard("cf:lease")) >= count, f"{count} leases; {rig.tail(names[0])}", START_S)
    return names


def _marked(rig: Rig) -> set[str]:
    """The pods that are marked as busy, once those are the ones that run something."""
    found: set[str] = set()

    def right() -> bool:
        found.clear()
        found.update(name for name in rig.cluster.pods if rig.cluster.annotation(name) == BUSY)
        return bool(found) and found == _at_work(rig)

    wait_until(right, f"marks of the busy pods; {rig.tail('reaper-1')}", MARKED_S)
    return found


def _at_work(rig: Rig) -> set[str]:
    pids = {str(rig.services[name].pid): name for name in rig.cluster.pods}
    workers = rig.redis.zrange("cf:lease", 0, -1)
    return {pids[worker.split(":")[1]] for worker in workers if rig.redis.scard(f"cf:owned:{worker}")}


def _scale(rig: Rig, replicas: int) -> list[float]:
    """SIGTERM to those whom a ReplicaSet would choose; in how many seconds each was gone."""
    cluster = rig.cluster
    chosen = victims(list(cluster.pods.values()), len(cluster.pods) - replicas, random.Random(1))
    began = time.monotonic()
    for name in chosen:
        rig.services[name].send(signal.SIGTERM)
    gone: dict[str, float] = {}

    def all_gone() -> bool:
        gone.update({name: time.monotonic() - began for name in chosen if not rig.services[name].alive} | gone)
        return len(gone) == len(chosen)

    wait_until(all_gone, f"{len(chosen)} pods gone", GONE_S)
    for name in chosen:
        process = rig.services[name].process
        assert process is not None
        assert process.returncode == 0, rig.tail(name)
        del cluster.pods[name]
    return list(gone.values())


def _handed_back(rig: Rig) -> int:
    return int(rig.redis.hget("cf:stats", "attempts:debate:handed_back") or 0)


def _account(rig: Rig) -> None:
    """Each task was claimed once, and once more for each time that it was handed back; no call was made twice."""
    claims = sum(int(fence) for (fence,) in rig.rows("fence").values())
    assert claims == len(rig.accepted) + _handed_back(rig), f"{claims} claims of {len(rig.accepted)} tasks"
    calls = Counter(call["key"] for call in rig.model.logged())
    assert max(calls.values()) == 1, "a call was paid for twice"


def _times(seconds: list[float]) -> str:
    return f"median {statistics.median(seconds):.1f} s, worst {max(seconds):.1f} s"
