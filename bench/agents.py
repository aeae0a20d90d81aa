"""Agents in flight: tasks of three model calls, ten for each slot, until every result is in both stores."""

import tempfile
import threading
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from bench.crews import OURS, PEERS, Crew, Job, crew_of
from bench.engines import Engines, running_engines
from bench.figures import Piece
from bench.model_server import serve_beside
from bench.peers.names import COLLECTION
from bench.processes import Processes, cpu_s
from bench.scale import Level, Scale
from bench.turns import Turns

NAME = "agents"
CALLS = 3
POLL_S = 0.1
MEMORY_EVERY_S = 2.0
WHOLE = 100.0
SLOWEST = 7.0
FAIR = 2.0
"""A contender is given up at `SLOWEST` times the ideal, and from `FAIR` times on when its pace leads there."""


def contender(name: str, level: Level) -> str:
    """Its name at a level."""
    return f"{name} at {level.agents:,}"


def measure(turns: Turns) -> None:
    """Every level, all contenders of a level in turns; every measurement on new engines."""
    piece = turns.piece(NAME)
    for level in turns.scale.levels:
        names = (OURS, *PEERS) if level.peers else (OURS,)
        runs = {contender(name, level): partial(_run, name, level, turns.scale) for name in names}
        turns.take(piece, dict.fromkeys(runs, 1), runs)
        turns.take(piece, {name: level.rounds for name in runs if _got_through(piece, name)}, runs)


def _got_through(piece: Piece, contender: str) -> bool:
    """One that was given up is not measured again."""
    finished = piece.get(contender, "finished_percent")
    return finished is not None and min(finished.values) == WHOLE


def _run(name: str, level: Level, scale: Scale) -> Mapping[str, float]:
    tasks = level.agents * scale.tasks_per_slot
    ideal_s = scale.tasks_per_slot * CALLS * scale.call_s
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_engines(Path(directory)) as engines,
        Processes(Path(directory)) as processes,
    ):
        model_url = serve_beside(processes, scale.call_s)
        environment = engines.settings if name == OURS else engines.peers
        job = Job(level.agents, level.processes, CALLS, engines.valkey.url, model_url, environment, stored=True)
        crew = crew_of(name, processes, job)
        crew.launch()
        crew.wait_ready()
        watch = _Watch(processes, crew)
        done, makespan_s = _finished(crew, tasks, watch, ideal_s)
        if done == tasks:
            _check(engines, tasks, "codeforge" if name == OURS else COLLECTION)
        return {
            "finished_percent": done * WHOLE / tasks,
            "makespan_s": makespan_s,
            "over_ideal": makespan_s / ideal_s,
            "workers_mb": watch.workers_mb,
            "all_mb": watch.all_mb,
            "cpu_ms_per_task": watch.cpu_s() * 1_000 / max(done, 1),
            "broker_ms_per_task": cpu_s(engines.server()) * 1_000 / max(done, 1),
        }


class _Watch:
    """Most memory of the workers, and of all processes of a contender, over a run; their processor time since."""

    def __init__(self, processes: Processes, crew: Crew) -> None:
        self.workers_mb = 0.0
        self.all_mb = 0.0
        self._processes = processes
        self._crew = crew
        self._names = [*crew.workers, *crew.others]
        self._before_s = processes.cpu_s(*self._names)
        self._next = 0.0

    def look(self) -> None:
        """Looks at the memory, now and then."""
        if time.monotonic() < self._next:
            return
        workers = self._processes.memory_mb(*self._crew.workers)
        others = self._processes.memory_mb(*self._crew.others) if self._crew.others else 0.0
        self.workers_mb = max(self.workers_mb, workers)
        self.all_mb = max(self.all_mb, workers + others)
        self._next = time.monotonic() + MEMORY_EVERY_S

    def cpu_s(self) -> float:
        """In seconds."""
        return self._processes.cpu_s(*self._names) - self._before_s


def _finished(crew: Crew, tasks: int, watch: _Watch, ideal_s: float) -> tuple[int, float]:
    """How many tasks are done, and the seconds from the first submission until every result is stored; fewer than all
    when it is given up."""
    failures: list[Exception] = []

    def submit() -> None:
        try:
            crew.submit(tasks)
        except Exception as error:
            failures.append(error)

    began = time.monotonic()
    submitter = threading.Thread(target=submit, daemon=True)
    submitter.start()
    while (done := crew.done(tasks)) < tasks:
        if failures:
            raise failures[0]
        times = (time.monotonic() - began) / ideal_s
        if times > FAIR and done < tasks * times / SLOWEST:
            return done, times * ideal_s
        watch.look()
        time.sleep(POLL_S)
    took = time.monotonic() - began
    submitter.join()
    return done, took


def _check(engines: Engines, tasks: int, collection: str) -> None:
    """Everything that is counted as done is in both stores, once."""
    found = engines.stored_tasks(), engines.stored_points(collection)
    if found[0] != tasks or found[1] < tasks:
        raise RuntimeError(
            f"{tasks:,} tasks are done, but the stores hold {found[0]:,} of them and {found[1]:,} points"
        )
