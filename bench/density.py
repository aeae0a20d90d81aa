"""Memory and processor of agents that wait: as many as there are slots, each in a long model call."""

import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from bench.agents import CALLS, contender
from bench.crews import OURS, PEERS, Job, crew_of
from bench.engines import running_valkey
from bench.model_server import serve_beside, stats
from bench.processes import Processes, cpu_s, family, wait_until
from bench.scale import Level, Scale
from bench.turns import Turns

NAME = "density"
RAMP_S = 100.0


def measure(turns: Turns) -> None:
    """Every level, all contenders of a level in turns."""
    piece = turns.piece(NAME)
    for level in turns.scale.density:
        names = (OURS, *PEERS) if level.peers else (OURS,)
        rounds = {contender(name, level): level.rounds for name in names}
        turns.take(piece, rounds, {contender(name, level): partial(_run, name, level, turns.scale) for name in names})


def _run(name: str, level: Level, scale: Scale) -> Mapping[str, float]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_valkey(Path(directory)) as valkey,
        Processes(Path(directory)) as processes,
    ):
        model_url = serve_beside(processes, scale.long_call_s)
        job = Job(level.agents, level.processes, CALLS, valkey.url, model_url, _nowhere())
        crew = crew_of(name, processes, job)
        crew.launch()
        crew.wait_ready()
        crew.submit(level.agents)
        began = time.monotonic()
        wait_until(lambda: stats(model_url)["waiting"] >= level.agents, "all agents in a call", RAMP_S, pause_s=0.2)
        ramp_s = time.monotonic() - began
        busy, broker = processes.cpu_s(*crew.workers), family(valkey.pid or 0)
        broker_s, start = cpu_s(broker), time.monotonic()
        time.sleep(scale.steady_s)  # what is measured is that time goes by
        seconds = time.monotonic() - start
        workers_mb = processes.memory_mb(*crew.workers)
        return {
            "workers_mb": workers_mb,
            "kb_per_agent": workers_mb * 1_000 / level.agents,
            "cpu_percent": (processes.cpu_s(*crew.workers) - busy) * 100 / seconds,
            "broker_percent": (cpu_s(broker) - broker_s) * 100 / seconds,
            "ramp_s": ramp_s,
        }


def _nowhere() -> Mapping[str, str]:
    """Addresses of stores that no task reaches in that time."""
    return {"BOLT": "bolt://127.0.0.1:9", "BOLT_USER": "none", "BOLT_PASSWORD": "none", "QDRANT": "http://127.0.0.1:9"}
