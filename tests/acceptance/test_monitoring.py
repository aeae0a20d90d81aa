"""A real Prometheus that scrapes the stack: no panel of any dashboard is without data, and the rules run."""

import math
import os
from collections.abc import Iterator

import pytest

from codeforge.worker_types import WorkerType
from tests.acceptance.stack import Stack, eventually
from tests.deploy.dashboards import PanelQuery, queries
from tests.deploy.exported import exported
from tests.deploy.promql import metrics_in
from tests.servers.model import ModelServer
from tests.servers.prometheus import SERVER, Prometheus
from tests.servers.site import Site

pytestmark = pytest.mark.slow

SCRAPE_S = 0.5
QUESTION = "Is a bicycle better than a car?"
INPUTS = {
    WorkerType.CODING: {"prompt": QUESTION, "language": "python", "max_iterations": 1},
    WorkerType.DEBATE: {"question": QUESTION, "positions": ["yes", "no"], "rounds": 1},
}


@pytest.fixture(scope="module")
def prometheus(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Without one the tests are skipped; CI installs it."""
    if SERVER is None:
        message = "no prometheus here: apt-get install prometheus"
        if os.environ.get("CODEFORGE_REQUIRE_LANES"):
            pytest.fail(message)
        pytest.skip(message)
    with Prometheus(tmp_path_factory.mktemp("prometheus"), stack.ready["api"], SCRAPE_S) as server:
        eventually(lambda: server.query("codeforge_patience_seconds"), "a first scrape")
        yield server


@pytest.fixture(scope="module")
def ran(stack: Stack, prometheus: Prometheus, site: Site, model: ModelServer) -> None:
    """A task of each type, while Prometheus looks on."""
    inputs = INPUTS | {
        WorkerType.SCRAPE: {"urls": [site.url("/bread")]},
        WorkerType.ANALYSIS: {"question": QUESTION, "urls": [site.url("/bread")], "search": "none"},
    }
    model.cost = 0.001
    try:
        for task_id in [stack.submit(worker_type, inputs[worker_type]) for worker_type in WorkerType]:
            assert stack.finished(task_id)["state"] == "succeeded"
    finally:
        model.cost = None


def without_data(prometheus: Prometheus) -> list[PanelQuery]:
    """Queries that give nothing, or only what is no number."""

    def numbers(query: PanelQuery, worker_type: str) -> list[float]:
        answer = prometheus.query(query.filled("1m", worker_type))
        return [value for _, value in answer if not math.isnan(value)]

    by_type = [query for query in queries() if "$type" in query.expression]
    rest = [query for query in queries() if "$type" not in query.expression]
    empty = [query for query in rest if not numbers(query, "")]
    return empty + [query for query in by_type for worker_type in WorkerType if not numbers(query, worker_type)]


@pytest.mark.usefixtures("ran")
def test_no_panel_is_without_data(prometheus: Prometheus) -> None:
    found: list[PanelQuery] = []

    def everywhere() -> bool:
        found[:] = without_data(prometheus)
        return not found

    try:
        eventually(everywhere, "data everywhere")
    except AssertionError:
        pytest.fail(f"without data: {found}")


@pytest.mark.usefixtures("ran")
def test_the_stack_exports_every_metric_that_rules_and_dashboards_may_read(prometheus: Prometheus) -> None:
    def found() -> set[str]:
        return {labels["__name__"] for labels, _ in prometheus.query('{job="codeforge-api"}')}

    read = set().union(*(metrics_in(query.filled("1m")) for query in queries()))
    wanted = exported() | {metric for metric in read if metric.startswith("codeforge_")}
    # Of one moment: a scrape that comes too late takes everything away until the next one.
    eventually(lambda: wanted <= found(), f"a scrape with {sorted(wanted)}")


@pytest.mark.usefixtures("ran")
def test_no_rule_fails_in_a_real_server(prometheus: Prometheus) -> None:
    eventually(lambda: prometheus.query("codeforge:llm_budget_burn:rate6h"), "a recorded rule")
    assert prometheus.broken_rules() == []
    assert prometheus.alerts() & {"CodeForgeTargetDown", "CodeForgeLedgerErrors", "CodeForgeNoWorker"} == set()
