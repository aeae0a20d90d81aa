"""What the commands of `codeforge capacity` do with their options."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from codeforge.capacity.arrivals import Durations, Mix, Trace, make_trace
from codeforge.capacity.assumptions import Assumptions, Cluster, Control, Prices, TaskProfile
from codeforge.capacity.distributions import parse_distribution
from codeforge.capacity.fields import quantity
from codeforge.capacity.manifests import read_deployment
from codeforge.capacity.naive import cpu_only, queue_length_only
from codeforge.capacity.planning import Plan, PlanInput, make_plan
from codeforge.capacity.plot import svg
from codeforge.capacity.redis_load import RedisCosts
from codeforge.capacity.simulation import Outcome, Simulation
from codeforge.capacity.workloads import Deployment
from codeforge.cli.capacity_options import DEFAULT_DURATION
from codeforge.errors import CapacityError
from codeforge.worker_types import WorkerType

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """What the options of a run say."""

    trace: Trace
    given: Assumptions
    seed: int


def run_of(values: Values) -> Run:
    """Raises CapacityError, which names the option."""
    trace = make_trace(values["trace_text"], mix_of(values["mix"]), durations_of(values["durations"]), values["seed"])
    cluster = replace(
        cluster_of(values),
        nodes=values["nodes"],
        max_nodes=max(values["nodes"], values["max_nodes"]),
        node_start_s=values["node_start"],
        pod_start_s=values["pod_start"],
        image_pull_s=values["image_pull"],
    )
    task = TaskProfile(step_s=values["step"], cpu=values["task_cpu"])
    control = Control(mark_busy=values["mark_busy"])
    given = Assumptions(cluster, task, prices_of(values), control, settle_s=values["settle"])
    return Run(trace, given, values["seed"])


def cluster_of(values: Values) -> Cluster:
    """The nodes' size."""
    return Cluster(node_cpu=values["node_cpu"], node_memory=bytes_of("--node-memory", values["node_memory"]))


def prices_of(values: Values) -> Prices:
    """What requests cost."""
    return Prices(values["vcpu_hour"], values["gb_hour"])


def bytes_of(option: str, text: str) -> float:
    """A quantity above 0. Raises CapacityError."""
    try:
        size = quantity(text)
    except ValueError:
        size = 0.0
    if size <= 0:
        raise CapacityError(f"{option} {text}: must be a quantity such as 16Gi")
    return size


def mix_of(text: str) -> Mix:
    """Raises CapacityError."""
    mix: dict[WorkerType, float] = {}
    for part in text.split(","):
        name, _, share = part.partition("=")
        try:
            mix[WorkerType(name.strip())] = float(share or 1)
        except ValueError:
            raise CapacityError(f"--mix {text}: expected shares such as coding=1,scrape=3") from None
    if not all(0 <= share < float("inf") for share in mix.values()) or not sum(mix.values()):
        raise CapacityError(f"--mix {text}: shares must be 0 or more, and one above 0")
    return mix


def durations_of(texts: Sequence[str]) -> Durations:
    """Raises CapacityError."""
    durations = dict.fromkeys(WorkerType, parse_distribution(DEFAULT_DURATION))
    for text in sorted(texts, key=lambda text: "=" in text):  # those for all types first
        name, _, form = text.rpartition("=")
        if name and name not in list(WorkerType):
            raise CapacityError(f"--duration {text}: there is no type {name!r}")
        durations |= dict.fromkeys([WorkerType(name)] if name else WorkerType, parse_distribution(form))
    return durations


def simulated(values: Values) -> Outcome:
    """The manifests against the trace. Raises CapacityError."""
    return _simulate(read_deployment(values["manifests"]), run_of(values))


def compared(values: Values) -> dict[str, Outcome]:
    """The manifests and two naive setups. Raises CapacityError."""
    run = run_of(values)
    shipped = read_deployment(values["manifests"])
    setups = {"shipped": shipped, "LLEN only": queue_length_only(shipped), "HPA on CPU": cpu_only(shipped)}
    return {name: _simulate(setup, run) for name, setup in setups.items()}


def _simulate(deployment: Deployment, run: Run) -> Outcome:
    return Simulation(deployment, run.trace, run.given, RedisCosts(), run.seed).run()


def planned(rates: Sequence[float], values: Values) -> list[Plan]:
    """A plan for each rate. Raises CapacityError."""
    workers = read_deployment(values["manifests"]).workers
    worker = next((each for each in workers if values["worker_type"] in each.types), None)
    if worker is None:
        raise CapacityError(f"--type {values['worker_type']}: no worker of the manifests serves it")
    worker = replace(worker, slots=values["slots"] or worker.slots)
    size = bytes_of("--redis-memory", values["redis_memory"])
    given = [PlanInput(rate, values["mean_seconds"], values["retention"], worker, redis_bytes=size) for rate in rates]
    return [make_plan(each, cluster_of(values), prices_of(values), RedisCosts()) for each in given]


def draw(path: str, outcomes: dict[str, Outcome]) -> None:
    """Writes the plot. Raises CapacityError."""
    try:
        Path(path).write_text(svg(outcomes), encoding="utf-8")
    except OSError as error:
        raise CapacityError(f"--plot {path}: {error.strerror}") from error
