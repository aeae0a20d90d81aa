"""Empty tasks: how many a second two worker processes get through, without stores on either side."""

import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from bench.crews import OURS, PEERS, Crew, Job, crew_of
from bench.engines import running_valkey
from bench.processes import Processes, cpu_s, family
from bench.scale import Scale
from bench.turns import Turns

NAME = "empty"
PROCESSES = 2
AGENTS = 200
POLL_S = 0.005
LONGEST_S = 120.0


def measure(turns: Turns) -> None:
    """All contenders in turns."""
    piece = turns.piece(NAME)
    names = (OURS, *PEERS)
    turns.take(
        piece, dict.fromkeys(names, turns.scale.rounds), {name: partial(_run, name, turns.scale) for name in names}
    )


def _run(name: str, scale: Scale) -> Mapping[str, float]:
    """The tasks wait before the workers start, so that neither submitting nor starting is measured."""
    tasks = scale.empty_tasks
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_valkey(Path(directory)) as valkey,
        Processes(Path(directory)) as processes,
    ):
        crew = crew_of(name, processes, Job(AGENTS, PROCESSES, 0, valkey.url, "http://127.0.0.1:9/v1"))
        crew.submit(tasks)
        broker = family(valkey.pid or 0)
        broker_s = cpu_s(broker)
        crew.launch()
        per_s = _rate(crew, tasks)
        return {
            "per_s": per_s,
            "cpu_ms_per_task": processes.cpu_s(*crew.workers) * 1_000 / tasks,
            "broker_ms_per_task": (cpu_s(broker) - broker_s) * 1_000 / tasks,
        }


def _rate(crew: Crew, tasks: int) -> float:
    """Tasks a second from the last look at which none was done to the last task. Raises TimeoutError."""
    deadline = time.monotonic() + LONGEST_S
    began = looked = time.monotonic()
    while (done := crew.done(tasks)) < tasks:
        if done == 0:
            began = looked
        if looked > deadline:
            raise TimeoutError(f"{done:,} of {tasks:,} tasks after {LONGEST_S:.0f} s")
        time.sleep(POLL_S)
        looked = time.monotonic()
    return tasks / (looked - began)
