"""`codeforge capacity`: how a deployment scales, found out before it is deployed."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from codeforge.cli.capacity_options import JSON, MANIFESTS, NODE_OPTIONS, PRICE_OPTIONS, RUN_OPTIONS, options
from codeforge.errors import CapacityError
from codeforge.worker_types import WorkerType

if TYPE_CHECKING:
    from codeforge.capacity.simulation import Outcome

WEEK_S = 7 * 86_400.0


@click.group()
def capacity() -> None:
    """Simulate how a deployment scales: queue wait, time to capacity, cost, evictions, load on Redis.

    Reads rendered Kubernetes manifests and replays KEDA's and the HPA's published algorithms, the
    scheduler, pod and node starts over a trace of arrivals, in discrete events. Nothing is deployed.
    """


@capacity.command()
@options(RUN_OPTIONS)
def simulate(**values: Any) -> None:
    """Run the manifests against a trace.

    \b
    codeforge capacity simulate --manifests deploy/k8s/base --trace burst:tasks=500 --mix coding=1
    codeforge capacity simulate --manifests rendered.yaml --trace csv:arrivals.csv --json
    """
    from codeforge.capacity.report import figures
    from codeforge.cli.capacity_runs import simulated

    outcome = simulated(values)
    _show({"": outcome}, figures(outcome), values)


@capacity.command()
@options(RUN_OPTIONS)
def compare(**values: Any) -> None:
    """Run the manifests beside the same workers with naive parameters.

    "LLEN only" is KEDA with its defaults on the length of Celery's queue; "HPA on CPU" is an HPA at 70% with
    its defaults. Both have plain Celery workers, which hand nothing back, the default grace of 30 s, and the
    same most pods.
    """
    from codeforge.capacity.report import figures
    from codeforge.cli.capacity_runs import compared

    outcomes = compared(values)
    _show(outcomes, {name: figures(outcome) for name, outcome in outcomes.items()}, values)


@capacity.command()
@click.option(
    "--tasks-per-second", "rates", multiple=True, required=True, type=click.FloatRange(0.001), help="Repeatable."
)
@MANIFESTS
@click.option("--type", "worker_type", type=click.Choice([each.value for each in WorkerType]), show_default=True,
              default=WorkerType.CODING.value, help="Whose pods are counted.")  # fmt: skip
@click.option("--mean-seconds", default=300.0, show_default=True, type=click.FloatRange(0.01), help="A task's work.")
@click.option("--slots", type=click.IntRange(1), help="Slots of a pod.  [default: what the manifests say]")
@click.option("--retention", default=WEEK_S, show_default=True, type=click.FloatRange(0.0),
              help="Seconds that the ledger keeps ended tasks.")  # fmt: skip
@click.option("--redis-memory", default="32Gi", show_default=True, help="maxmemory of one ledger.")
@options((*NODE_OPTIONS, *PRICE_OPTIONS, JSON))
def plan(rates: tuple[float, ...], as_json: bool, **values: Any) -> None:
    """What rates of tasks need: pods, nodes, Redis, ledgers; which part breaks first, and what to do then."""
    from codeforge.capacity.planning import plan_figures, plan_lines
    from codeforge.cli.capacity_runs import planned

    plans = planned(rates, values)
    if as_json:
        _echo_json({"plans": [plan_figures(each) for each in plans]})
        return
    for line in plan_lines(plans):
        click.echo(line)


@capacity.command()
@click.option("--tasks", default=4000, show_default=True, type=click.IntRange(100, 100_000), help="How many tasks.")
@JSON
def measure(tasks: int, as_json: bool) -> None:
    """Measure what a task costs Redis, on an embedded Valkey of its own.

    The simulator's defaults were measured so. Takes some seconds; nothing is left behind.
    """
    from codeforge.cli.capacity_measure import measured_costs

    costs = asyncio.run(measured_costs(tasks))
    if as_json:
        _echo_json(asdict(costs))
        return
    for name, value in asdict(costs).items():
        click.echo(f"{name:<20} {value:>10,.1f}")


@capacity.command()
@click.argument("page", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def refresh(page: Path) -> None:
    """Make the figures of a page anew: those between `<!-- codeforge capacity ... -->` and `<!-- end -->`."""
    from codeforge.capacity.page import refreshed

    text = page.read_text(encoding="utf-8")
    page.write_text(refreshed(text, _printed), encoding="utf-8")


def _printed(arguments: Sequence[str]) -> str:
    from click.testing import CliRunner

    done = CliRunner().invoke(capacity, arguments)
    if done.exception is not None:
        raise CapacityError(f"codeforge capacity {' '.join(arguments)}: {done.exception} {done.output}".rstrip())
    return done.output


def _show(outcomes: "dict[str, Outcome]", report: dict[str, Any], values: dict[str, Any]) -> None:
    from codeforge.capacity.report import text_lines
    from codeforge.cli.capacity_runs import draw

    if values["plot"]:
        draw(values["plot"], {name or values["trace_text"]: outcome for name, outcome in outcomes.items()})
    if values["as_json"]:
        _echo_json(report)
        return
    for line in text_lines(outcomes):
        click.echo(line)


def _echo_json(report: dict[str, Any]) -> None:
    click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
