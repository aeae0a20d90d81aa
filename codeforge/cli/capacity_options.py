"""Options that the commands of `codeforge capacity` share."""

from collections.abc import Callable, Sequence
from typing import Any

import click

from codeforge.capacity.assumptions import Prices

DEFAULT_DURATION = "lognormal:300,1.0"
Decorated = Callable[..., Any]

MANIFESTS = click.option(
    "--manifests",
    required=True,
    help="Rendered YAML: a file, - for standard input, or a directory, which kubectl or kustomize renders.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
NODE_OPTIONS = (
    click.option("--node-cpu", default=4.0, show_default=True, type=click.FloatRange(0.5), help="vCPU of a node."),
    click.option("--node-memory", default="16Gi", show_default=True, help="Memory of a node."),
)
PRICE_OPTIONS = (
    click.option(
        "--vcpu-hour",
        default=Prices().vcpu_hour,
        show_default=True,
        type=click.FloatRange(0.0),
        help="USD for a vCPU that a worker requests, an hour. Default: AWS Fargate, Linux/x86, us-east-1.",
    ),
    click.option(
        "--gb-hour",
        default=Prices().gb_hour,
        show_default=True,
        type=click.FloatRange(0.0),
        help="USD for a GiB that a worker requests, an hour. Same source.",
    ),
)
RUN_OPTIONS = (
    MANIFESTS,
    click.option(
        "--trace", "trace_text", required=True,
        help="burst:tasks=500[,at=S,over=S] | poisson:rate=2,seconds=3600 | day:tasks=40000[,peak=10,seconds=86400] "
        "| csv:FILE with the columns at_s, type and perhaps duration_s.",
    ),
    click.option(
        "--mix", default="coding=1,analysis=1,debate=1,scrape=1", show_default=True,
        help="Shares of the types in the trace.",
    ),
    click.option(
        "--duration", "durations", multiple=True, default=(DEFAULT_DURATION,), show_default=True,
        help="How long tasks work: fixed:60 | uniform:10-120 | exponential:60 | lognormal:MEAN,SIGMA, in seconds; "
        "TYPE=... for one type. Repeatable.",
    ),
    click.option("--seed", default=0, show_default=True, type=int, help="The same seed gives the same run."),
    click.option("--pod-start", default=15.0, show_default=True, type=click.FloatRange(0.0),
                 help="Seconds from a pod's node to ready."),
    click.option("--image-pull", default=20.0, show_default=True, type=click.FloatRange(0.0),
                 help="Seconds more for a worker's first pod on a node that was not there at the start."),
    click.option("--nodes", default=6, show_default=True, type=click.IntRange(0), help="Nodes at the start."),
    click.option("--max-nodes", default=100, show_default=True, type=click.IntRange(0), help="Nodes at most."),
    click.option("--node-start", default=90.0, show_default=True, type=click.FloatRange(0.0),
                 help="Seconds until a further node is there."),
    *NODE_OPTIONS,
    click.option("--step", default=20.0, show_default=True, type=click.FloatRange(0.0),
                 help="Seconds of work between two journaled steps: what a hand-back repeats at most."),
    click.option("--task-cpu", default=0.005, show_default=True, type=click.FloatRange(0.0),
                 help="Cores that a running task uses. Assumed; matters to HPAs on CPU only."),
    click.option("--mark-busy", is_flag=True, help="Busy pods carry a pod-deletion-cost, so that idle ones go first."),
    click.option("--settle", default=3600.0, show_default=True, type=click.FloatRange(0.0),
                 help="Seconds that the run goes on after the last arrival."),
    *PRICE_OPTIONS,
    JSON,
    click.option("--plot", type=click.Path(dir_okay=False, writable=True), help="Write an SVG of the run here."),
)  # fmt: skip


def options(chosen: Sequence[Callable[[Decorated], Decorated]]) -> Callable[[Decorated], Decorated]:
    """All of them on one command, in this order."""

    def decorate(function: Decorated) -> Decorated:
        for option in reversed(chosen):
            function = option(function)
        return function

    return decorate
