"""What is broken, how, and under which load. Each scenario ends within its `timeout_s`."""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.breaking_points import POINTS
from tests.faults.loads import Load
from tests.faults.poisons import memory_hogs, poison_agents
from tests.faults.process_faults import (
    api_killed,
    dies_at_a_point,
    rolling_sigterm,
    two_of_each,
    worker_killed,
    worker_stopped,
    workers_killed_on,
    wrong_clocks,
)
from tests.faults.redis_faults import (
    celery_keys_deleted,
    clients_cut,
    lagging_replica_promoted,
    last_second_cut_off,
    redis_blackholed,
    redis_killed,
)
from tests.faults.rig import Rig, Setup, running_rig
from tests.faults.scale_in import DRAIN_S, SLOTS, scaled_in
from tests.faults.store_faults import graph_down, graph_killed_in_commits, vectors_down
from tests.faults.verdict import Figures, judge, wait_settled


@dataclass(frozen=True)
class Scenario:
    """`inject` submits the load and breaks things; it returns what was injected, in words. `short` is for CI, None
    where the scenario is for the long run only."""

    name: str
    inject: Callable[[Rig, Load, Figures], str]
    full: Load
    short: Load | None = None
    timeout_s: float = 150.0
    setup: Setup = field(default_factory=Setup)

    def run(self, load: Load) -> Figures:
        """The scenario on a service of its own."""
        figures = Figures()
        with (
            tempfile.TemporaryDirectory(prefix="faults-") as directory,
            running_rig(Path(directory), load.shortest_s, load.longest_s, self.setup) as rig,
        ):
            began = time.monotonic()
            figures.faults = self.inject(rig, load, figures)
            wait_settled(rig, self.timeout_s)
            figures.seconds = time.monotonic() - began
            return judge(rig, figures)


TWO_WORKERS = Setup(workers=2)
ORDERED = Setup(module="tests.faults.worker")
FEW_SLOTS = {"MAX_CONCURRENT_TASKS": "40"}

SCENARIOS = (
    Scenario("worker SIGKILL", worker_killed, Load(300, 10.0, 1), Load(40, 3.0, 2), setup=TWO_WORKERS),
    Scenario("500 agents, SIGKILLs", workers_killed_on, Load(1000, 20.0, 10), None, 300.0,
        setup=Setup(workers=2, settings={"MAX_CONCURRENT_TASKS": "256"})),
    *(
        Scenario(
            f"SIGKILL {point.replace('-', ' ')}",
            dies_at_a_point(point),
            Load(40, 2.0, 3),
            Load(10, 1.0, 2) if point == "before-the-journal" else None,
            setup=ORDERED,
        )
        for point in POINTS
    ),
    Scenario("Celery's keys deleted", celery_keys_deleted, Load(1000, 0.5, 1), timeout_s=240.0),
    Scenario("worker SIGSTOP", worker_stopped, Load(150, 10.0, 2), Load(20, 5.0, 1), setup=TWO_WORKERS),
    Scenario("clocks wrong", wrong_clocks, Load(150, 5.0, 2), setup=Setup(workers=2, clocks=(600, -600))),
    Scenario("Redis blackholed", redis_blackholed, Load(100, 5.0, 3), setup=Setup(proxied=True)),
    Scenario("CLIENT KILL", clients_cut, Load(200, 5.0, 15)),
    Scenario("Redis SIGKILL", redis_killed, Load(150, 5.0, 3), Load(20, 2.0, 1)),
    Scenario(
        "Redis loses a second", last_second_cut_off, Load(150, 5.0, 2, 0.5), Load(60, 2.0, 1, 0.5),
        setup=Setup(settings=FEW_SLOTS),
    ),
    Scenario(
        "lagging replica promoted", lagging_replica_promoted(confirmed=False), Load(150, 5.0, 1, 0.5),
        setup=Setup(replicated=True, settings=FEW_SLOTS),
    ),
    Scenario(
        "the same, SUBMIT_REPLICAS=1", lagging_replica_promoted(confirmed=True), Load(150, 5.0, 1, 0.5),
        setup=Setup(replicated=True, settings=FEW_SLOTS | {"SUBMIT_REPLICAS": "1"}),
    ),
    Scenario("SIGTERM", rolling_sigterm, Load(150, 20.0, 6), setup=TWO_WORKERS),
    Scenario(
        "scale-in, 20 to 2", scaled_in, Load(30, 9.0, 20, 5.0),
        setup=Setup(
            workers=0, clustered=True,
            settings={"MAX_CONCURRENT_TASKS": str(SLOTS), "DRAIN_S": str(DRAIN_S), "WORKER_TYPE": "debate"},
        ),
    ),
    Scenario("graph down", graph_down, Load(150, 2.0, 4)),
    Scenario("graph killed in commits", graph_killed_in_commits, Load(150, 2.0, 4), setup=Setup(graph_proxied=True)),
    Scenario("vectors down", vectors_down, Load(150, 2.0, 3)),
    Scenario("API SIGKILL", api_killed, Load(200, 1.0, 4)),
    Scenario("two of each", two_of_each, Load(200, 2.0, 5), setup=Setup(background=2)),
    Scenario("poison agents", poison_agents, Load(30, 3.0, 2), setup=Setup(workers=2, module=ORDERED.module)),
    Scenario(
        "memory hogs", memory_hogs, Load(60, 5.0, 2),
        setup=Setup(workers=2, module=ORDERED.module, settings={"WORKER_MAX_MEMORY_MB": "300"}),
    ),
)  # fmt: skip


def recovery(figures: Figures) -> str:
    """Median and worst of what was measured."""
    times = figures.recovery_s
    return f"{statistics.median(times):.1f} / {max(times):.1f} s" if times else ""
