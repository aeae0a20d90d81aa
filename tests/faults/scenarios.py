"""What is broken, how, and under which load. Each scenario ends within its `timeout_s`."""

import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.breaking_points import POINTS
from tests.faults.rig import LEASE_S, Rig, running_rig
from tests.faults.verdict import TERMINAL, Figures, judge, wait_settled
from tests.servers.celery_worker import wait_until

QUEUES = tuple(f"{kind}{suffix}" for kind in ("debate", "scrape") for suffix in ("", ".high", ".low"))


@dataclass(frozen=True)
class Load:
    """How many tasks, the longest model call in seconds, and how often a fault is injected."""

    tasks: int
    longest_s: float
    faults: int


@dataclass(frozen=True)
class Scenario:
    """`inject` submits the load and breaks things; it returns what was injected, in words. `short` is for CI, None
    where the scenario is for the long run only."""

    name: str
    inject: Callable[[Rig, Load, Figures], str]
    full: Load
    short: Load | None = None
    timeout_s: float = 150.0
    options: dict[str, Any] = field(default_factory=dict)

    def run(self, load: Load) -> Figures:
        """The scenario on a service of its own."""
        figures = Figures()
        with tempfile.TemporaryDirectory(prefix="faults-") as directory:
            options = dict(self.options)
            if options.get("module"):
                options["settings"] = {"FAULTS_DIR": directory}
            with running_rig(Path(directory), longest_s=load.longest_s, **options) as rig:
                began = time.monotonic()
                figures.faults = self.inject(rig, load, figures)
                wait_settled(rig, self.timeout_s)
                figures.seconds = time.monotonic() - began
                return judge(rig, figures)


def debates(count: int) -> list[dict[str, Any]]:
    """Tasks of four model calls each, two of them at once."""
    return [
        {"type": "debate", "input": {"question": f"Question {n}?", "positions": ["yes", "no"], "rounds": 1}}
        for n in range(count)
    ]


def poison(deed: str) -> dict[str, Any]:
    """A task that does this; see `Poison`."""
    return {"type": "scrape", "input": {"urls": [f"http://127.0.0.1/{deed}"]}, "timeout_s": 20}


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


def celery_keys_deleted(rig: Rig, load: Load, _: Figures) -> str:
    """The workers stand still, all messages go, and so does what Celery itself keeps."""
    rig.services["worker-1"].send(signal.SIGSTOP)
    rig.submit(debates(load.tasks), "load")
    ours = [name for name in rig.redis.keys("*") if not name.startswith("cf:")]
    deleted = sum(int(rig.redis.llen(name)) for name in ours if name in QUEUES)
    rig.redis.delete(*ours)
    rig.services["worker-1"].send(signal.SIGCONT)
    return f"{deleted} messages and all of Celery's keys deleted"


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


def redis_blackholed(rig: Rig, load: Load, _: Figures) -> str:
    """Every process loses the network to Redis for a while."""
    assert rig.engines.proxy is not None
    rig.submit(debates(load.tasks), "load")
    rig.wait_running(load.tasks // 3)
    away_s = 10 * load.faults
    rig.engines.proxy.blackhole(True)
    time.sleep(away_s)
    rig.engines.proxy.blackhole(False)
    return f"Redis blackholed for {away_s} s"


def clients_cut(rig: Rig, load: Load, _: Figures) -> str:
    """CLIENT KILL TYPE normal, every second."""
    rig.submit(debates(load.tasks), "load")
    cut = 0
    for _number in range(load.faults):
        cut += int(rig.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
        time.sleep(1.0)
    return f"{load.faults} times CLIENT KILL TYPE normal, {cut} connections cut"


def redis_killed(rig: Rig, load: Load, _: Figures) -> str:
    """SIGKILL of Redis and a restart from its append-only file, which the system still holds whole."""
    rig.submit(debates(load.tasks), "load")
    for _number in range(load.faults):
        rig.wait_running(1)
        rig.engines.valkey.kill()
        time.sleep(1.0)
        rig.engines.valkey.start()
        time.sleep(3.0)
    return f"{load.faults} SIGKILLs of Redis, restarted from the AOF"


def rolling_sigterm(rig: Rig, load: Load, _: Figures) -> str:
    """SIGTERM to each worker in turn, and SIGKILL to every second one at half its grace."""
    rig.submit(debates(load.tasks), "load")
    killed = 0
    for number in range(load.faults):
        rig.wait_running(1)
        victim = rig.services[f"worker-{number % 2 + 1}"]
        victim.send(signal.SIGTERM)
        if number % 2:
            time.sleep(1.5)
            killed += victim.alive
            victim.kill()
        else:
            process = victim.process
            assert process is not None
            process.wait(20)
        time.sleep(1.0)
    return f"{load.faults} SIGTERMs, {killed} of them ended by SIGKILL"


def graph_down(rig: Rig, load: Load, _: Figures) -> str:
    """The graph server is killed while it takes writes, and stays away."""
    rig.submit(debates(load.tasks), "load")
    wait_until(lambda: any(row[0] == "1" for row in rig.rows("stored").values()), "a first one stored", 60.0)
    rig.engines.graph.kill()
    away_s = 15 * load.faults
    time.sleep(away_s)
    rig.engines.graph.start()
    return f"graph SIGKILLed and away for {away_s} s"


def vectors_down(rig: Rig, load: Load, _: Figures) -> str:
    """The vector store likewise."""
    rig.submit(debates(load.tasks), "load")
    wait_until(lambda: any(row[0] == "1" for row in rig.rows("stored").values()), "a first one stored", 60.0)
    rig.engines.vectors.kill()
    away_s = 10 * load.faults
    time.sleep(away_s)
    rig.engines.vectors.start()
    return f"vector store SIGKILLed and away for {away_s} s"


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


def poison_agents(rig: Rig, load: Load, _: Figures) -> str:
    """Innocent tasks beside some that raise, end their process, or never await."""
    deeds = [deed for deed in ("raise", "exit", "spin") for _number in range(load.faults)]
    rig.submit([*debates(load.tasks), *map(poison, deeds)], "load")
    wait_settled(rig, 140.0)
    rows = rig.rows("state", "type")
    innocent = [state for state, kind in rows.values() if kind == "debate"]
    assert innocent.count("succeeded") == len(innocent), f"innocent tasks: {innocent}"
    return f"{load.faults} poison tasks each of raise, os._exit, endless loop"


ORDERED = {"module": "tests.faults.worker"}

SCENARIOS = (
    Scenario("worker SIGKILL", worker_killed, Load(300, 10.0, 1), Load(40, 3.0, 2), options={"workers": 2}),
    *(
        Scenario(
            f"SIGKILL {point.replace('-', ' ')}",
            dies_at_a_point(point),
            Load(40, 2.0, 3),
            Load(10, 1.0, 2) if point == "before-the-journal" else None,
            options=ORDERED,
        )
        for point in POINTS
    ),
    Scenario("Celery's keys deleted", celery_keys_deleted, Load(1000, 0.5, 1), None, timeout_s=240.0),
    Scenario("worker SIGSTOP", worker_stopped, Load(150, 10.0, 2), Load(20, 5.0, 1), options={"workers": 2}),
    Scenario("Redis blackholed", redis_blackholed, Load(100, 5.0, 3), None, options={"proxied": True}),
    Scenario("CLIENT KILL", clients_cut, Load(200, 5.0, 15), None),
    Scenario("Redis SIGKILL", redis_killed, Load(150, 5.0, 3), Load(20, 2.0, 1)),
    Scenario("SIGTERM", rolling_sigterm, Load(150, 20.0, 6), None, options={"workers": 2}),
    Scenario("graph down", graph_down, Load(150, 2.0, 4), None),
    Scenario("vectors down", vectors_down, Load(150, 2.0, 3), None),
    Scenario("API SIGKILL", api_killed, Load(200, 1.0, 4), None),
    Scenario("two of each", two_of_each, Load(200, 2.0, 5), None, options={"background": 2}),
    Scenario("poison agents", poison_agents, Load(30, 3.0, 2), None, options=ORDERED | {"workers": 2}),
)


def recovery(figures: Figures) -> str:
    """Median and worst of what was measured."""
    times = figures.recovery_s
    return f"{statistics.median(times):.1f} / {max(times):.1f} s" if times else ""
