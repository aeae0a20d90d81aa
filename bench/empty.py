"""Empty tasks: how many a second two worker processes get through, without stores on either side."""

import tempfile
import time
from collections.abc import Callable, Mapping
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
        crew.launch()
        return _figures(crew, tasks, lambda: (processes.cpu_s(*crew.workers), cpu_s(broker)))


def _figures(crew: Crew, tasks: int, spent_s: Callable[[], tuple[float, float]]) -> Mapping[str, float]:
    """From the last look at which none was done to the last task: starting the programs is no task's cost. Raises
    TimeoutError."""
    deadline = time.monotonic() + LONGEST_S
    began, before = time.monotonic(), spent_s()
    while (done := crew.done(tasks)) < tasks:
        if done == 0:
            began, before = time.monotonic(), spent_s()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{done:,} of {tasks:,} tasks after {LONGEST_S:.0f} s")
        time.sleep(POLL_S)
    ended, after = time.monotonic(), spent_s()
    workers_s, broker_s = (each - earlier for each, earlier in zip(after, before, strict=True))
    return {
        "per_s": tasks / (ended - began),
        "cpu_ms_per_task": workers_s * 1_000 / tasks,
        "broker_ms_per_task": broker_s * 1_000 / tasks,
    }
