"""The projector: results a second from a full outbox into both stores, beside one write at a time."""

import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import redis

from bench.crews import OURS
from bench.engines import running_engines
from bench.peers.names import COLLECTION
from bench.processes import Processes, cpu_s, memory_mb
from bench.results import FinishedTasks
from bench.scale import Scale
from bench.turns import Turns

NAME = "projector"
SINGLES = "one write at a time"
PARTITIONS = 4
POLL_S = 0.05
LONGEST_S = 180.0
EARLY, LATE = 0.25, 0.95
"""Shares of the results at which the projector's memory is looked at."""


def measure(turns: Turns) -> None:
    """Both in turns, on new engines each time."""
    piece = turns.piece(NAME)
    rounds = dict.fromkeys((OURS, SINGLES), turns.scale.rounds)
    if turns.complete(piece, rounds):
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        finished = FinishedTasks(Path(directory), turns.scale.results)
        ours, singles = partial(_ours, finished, turns.scale), partial(_singles, turns.scale)
        turns.take(piece, rounds, {OURS: ours, SINGLES: singles})


def _ours(finished: FinishedTasks, scale: Scale) -> Mapping[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        place = Path(directory)
        finished.copied_to(place / "redis")
        with running_engines(place) as engines, Processes(place) as processes:
            processes.start("projector", "codeforge", "projector", env=engines.settings | {"MALLOC_ARENA_MAX": "2"})
            with redis.Redis.from_url(engines.valkey.url) as client:
                figures = _drained(client, processes, scale.results)
            cpu_ms = processes.cpu_s("projector") * 1_000 / scale.results
            graph_ms = cpu_s(engines.graph_processes()) * 1_000 / scale.results
            vectors_ms = cpu_s(engines.vector_processes()) * 1_000 / scale.results
            stored = engines.stored_tasks()
            if stored != scale.results:
                raise RuntimeError(f"the outbox is empty, but the graph holds {stored:,} of {scale.results:,} tasks")
    return {**figures, "cpu_ms": cpu_ms, "graph_ms": graph_ms, "vectors_ms": vectors_ms}


def _drained(client: redis.Redis, processes: Processes, results: int) -> Mapping[str, float]:
    """Follows the outbox until it is empty. The start does not count: the clock runs from the first settled batch."""
    first: tuple[float, int] | None = None
    early_mb = late_mb = 0.0
    deadline = time.monotonic() + LONGEST_S
    while (left := _left(client)) > 0:
        done = results - left
        if first is None and done > 0:
            first = time.monotonic(), done
        if not early_mb and done >= EARLY * results:
            early_mb = memory_mb(processes.tree("projector"))
        if not late_mb and done >= LATE * results:
            late_mb = memory_mb(processes.tree("projector"))
        if time.monotonic() > deadline:
            raise TimeoutError(f"{done:,} of {results:,} results after {LONGEST_S:.0f} s")
        time.sleep(POLL_S)
    if first is None:
        raise RuntimeError("all results were stored at the first look: too few to measure")
    per_s = (results - first[1]) / (time.monotonic() - first[0])
    mb = memory_mb(processes.tree("projector"))
    return {"per_s": per_s, "mb": mb, "growth_mb": (late_mb or mb) - (early_mb or mb)}


def _left(client: redis.Redis) -> int:
    with client.pipeline(transaction=False) as pipe:
        for partition in range(PARTITIONS):
            pipe.xlen(f"cf:outbox:{partition}")
        return sum(pipe.execute())


def _singles(scale: Scale) -> Mapping[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, running_engines(Path(directory)) as engines:
        with Processes(Path(directory)) as processes:
            processes.start("prepare", "bench.ours.stores", "graph", env=engines.settings)  # the same constraints
            processes.wait_end("prepare", LONGEST_S)
            environment = engines.peers | {"MODEL": "http://127.0.0.1:9/v1"}
            processes.start("singles", "bench.peers.single_writes", str(scale.singles), env=environment)
            processes.wait_end("singles", LONGEST_S)
            seconds = float(processes.output("singles").split()[-1])
        if engines.stored_points(COLLECTION) != scale.singles:
            raise RuntimeError("not every result is in the vector store")
    return {"per_s": scale.singles / seconds}
