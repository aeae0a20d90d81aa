"""What is done to the project's own processes."""

import signal
import threading
import time
from collections.abc import Callable

from tests.faults.loads import Load, debates
from tests.faults.rig import DRAIN_S, LEASE_S, Rig
from tests.faults.verdict import TERMINAL, Figures
from tests.servers.celery_worker import wait_until

STORM_S = 4.0


def worker_killed(rig: Rig, load: Load, figures: Figures) -> str:
    """SIGKILL of a worker every few seconds, two workers taking turns."""
    rig.submit(debates(load.tasks), "load")
    rig.wait_running(load.tasks // 3)
    held = 0
    for number in range(load.faults):
        victim = rig.services[f"worker-{number % 2 + 1}"]
        owned = _owned(rig, victim.pid)
        held += len(owned)
        victim.kill()
        _recovered(rig, owned, time.monotonic(), figures)
        time.sleep(1.0)
    return f"{load.faults} SIGKILLs, {held} tasks held by the killed"


def workers_killed_on(rig: Rig, load: Load, _: Figures) -> str:
    """The same without waiting for anything to recover: each worker dies again soon after it is back."""
    rig.submit(debates(load.tasks), "load")
    rig.wait_running(500, 60.0)
    held = 0
    for number in range(load.faults):
        victim = rig.services[f"worker-{number % 2 + 1}"]
        if victim.alive:
            held += len(_owned(rig, victim.pid))
        victim.kill()
        time.sleep(STORM_S)
    return f"{load.faults} SIGKILLs, one every {STORM_S:g} s, {held} times a task was held by the killed"


def dies_at_a_point(point: str) -> Callable[[Rig, Load, Figures], str]:
    """SIGKILL exactly there, again and again."""

    def inject(rig: Rig, load: Load, _: Figures) -> str:
        rig.submit(debates(load.tasks), "load")
        for number in range(load.faults):
            order = rig.directory / f"{point}-{number}"
            order.touch()
            wait_until(lambda order=order: not order.exists(), f"death {number} {point}", 60.0)  # type: ignore[misc]
        return f"{load.faults} SIGKILLs {point.replace('-', ' ')}"

    return inject


def wrong_clocks(rig: Rig, load: Load, figures: Figures) -> str:
    """One worker's clock is ahead, the other's behind; both die in turn, and each takes over from the other."""
    killed = worker_killed(rig, load, figures)
    return f"clocks of the two workers 10 minutes ahead and behind, {killed}"


def worker_stopped(rig: Rig, load: Load, _: Figures) -> str:
    """SIGSTOP for two leases, then SIGCONT: what it still writes is refused."""
    rig.submit(debates(load.tasks), "load")
    for number in range(load.faults):
        rig.wait_running(1)
        victim = rig.services[f"worker-{number % 2 + 1}"]
        victim.send(signal.SIGSTOP)
        time.sleep(2 * LEASE_S + 1)
        victim.send(signal.SIGCONT)
    return f"{load.faults} times SIGSTOP for {2 * LEASE_S + 1} s"


def rolling_sigterm(rig: Rig, load: Load, _: Figures) -> str:
    """SIGTERM to each worker in turn; every second one is killed, in the middle of its drain or at the end of it, when
    what is too long for it is being cut."""
    rig.submit(debates(load.tasks), "load")
    killed = 0
    for number in range(load.faults):
        rig.wait_running(1)
        victim = rig.services[f"worker-{number % 2 + 1}"]
        rig.wait_leased(victim)
        process = victim.process
        assert process is not None
        victim.send(signal.SIGTERM)
        if number % 2:
            time.sleep(DRAIN_S if number % 4 == 1 else DRAIN_S / 2)
            killed += process.poll() is None
            victim.kill()
        else:
            assert process.wait(20) == 0
        time.sleep(1.0)
    return f"{load.faults} SIGTERMs, {killed} of them ended by SIGKILL at or before the end of the grace"


def api_killed(rig: Rig, load: Load, _: Figures) -> str:
    """The front door dies again and again while a client submits and retries with the same keys."""
    api, stop = rig.services["api"], threading.Event()
    kills = 0

    def kill() -> None:
        nonlocal kills
        while kills < load.faults and not stop.wait(3.0):
            kills += api.alive
            api.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        number = 0
        while killer.is_alive() or number < load.tasks // 5:
            rig.submit(debates(5), f"part-{number}")
            number += 1
            time.sleep(0.1 if number < load.tasks // 5 else 0.5)
    finally:
        stop.set()
        killer.join()
    assert len(set(rig.accepted)) == len(rig.accepted)
    known = int(rig.redis.zcard("cf:tasks:default") or 0)
    assert known in (0, len(rig.accepted)), f"{known} tasks in the ledger, {len(rig.accepted)} accepted"
    return f"{kills} SIGKILLs of the API while a client submits with keys"


def two_of_each(rig: Rig, load: Load, _: Figures) -> str:
    """Two reapers and two projectors, whose leaders and owners are killed in turn."""
    rig.submit(debates(load.tasks), "load")
    for number in range(load.faults):
        rig.services[f"projector-{number % 2 + 1}"].kill()
        rig.services[f"reaper-{number % 2 + 1}"].kill()
        time.sleep(2.0)
    return f"{load.faults} SIGKILLs each of a projector and a reaper, two of each"


def _owned(rig: Rig, pid: int) -> list[str]:
    for worker in rig.redis.zrange("cf:lease", 0, -1):
        if f":{pid}:" in worker:
            return list(rig.redis.smembers(f"cf:owned:{worker}"))
    return []


def _recovered(rig: Rig, ids: list[str], killed_at: float, figures: Figures) -> None:
    """Waits until each task runs under a new fence, or has ended; notes how long each took."""
    with rig.redis.pipeline(transaction=False) as pipe:
        waiting = dict.fromkeys(ids, -1)
        while waiting and time.monotonic() - killed_at < 60:
            for task_id in waiting:
                pipe.hmget(f"cf:task:{task_id}", "state", "fence")
            now = time.monotonic()
            for task_id, (state, fence) in zip(list(waiting), pipe.execute(), strict=True):
                first = waiting[task_id]
                if first < 0:
                    waiting[task_id] = int(fence)
                elif int(fence) > first or state in TERMINAL:
                    figures.recovery_s.append(now - killed_at)
                    del waiting[task_id]
            time.sleep(0.05)
