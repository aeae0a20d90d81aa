"""The dashboards: made by their program; each query is one that Prometheus answers and that replicas do not distort."""

import pytest

from tests.deploy.dashboards import DIRECTORY, PanelQuery, queries
from tests.deploy.exported import OF_EACH_REPLICA, exported
from tests.deploy.promql import aggregations, metrics_in
from tests.deploy.test_monitoring import RECORDED
from tools.dashboards.__main__ import DASHBOARDS
from tools.dashboards.panel import text

OF_PROMETHEUS = {"ALERTS", "scrape_duration_seconds", "process_resident_memory_bytes"}
QUERIES = list(queries())


def test_the_files_are_what_the_program_writes() -> None:
    written = {path.stem: path.read_text() for path in DIRECTORY.glob("*.json")}
    assert written == {dashboard.name: text(dashboard) for dashboard in DASHBOARDS}, "run python -m tools.dashboards"


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: f"{query.dashboard}: {query.panel}")
def test_every_query_reads_what_is_exported_and_takes_the_greatest_of_the_replicas(query: PanelQuery) -> None:
    expression = query.filled("1m")
    assert metrics_in(expression) <= exported() | RECORDED | OF_PROMETHEUS
    for metric, innermost in aggregations(expression):
        if metric in exported() - {OF_EACH_REPLICA}:
            assert innermost == "max", metric


@pytest.mark.parametrize(
    ("expression", "innermost"),
    [
        ("sum(codeforge_tasks_queued)", "sum"),
        ("rate(codeforge_tasks_queued[1m]) > 0", None),
        ("sum(max by (type) (rate(codeforge_tasks_queued[1m])))", "max"),
        ("max(sum(codeforge_tasks_queued))", "sum"),
    ],
)
def test_a_sum_over_replicas_is_seen(expression: str, innermost: str | None) -> None:
    assert list(aggregations(expression)) == [("codeforge_tasks_queued", innermost)]
