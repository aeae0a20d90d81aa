"""The queries' parts. Every API replica exports the ledger's figures alike: each query takes the `max` over replicas
before anything else."""

from tools.dashboards.panel import Query

INTERVAL = "$__rate_interval"
OF_TYPE = '{type=~"$type"}'
PERCENTILES = (0.5, 0.95, 0.99)


def newest(metric: str, *by: str, where: str = "") -> str:
    """A gauge, or a recorded rate."""
    return f"max by ({', '.join(by)}) ({metric}{where})" if by else f"max({metric}{where})"


def rate(metric: str, *by: str, where: str = "", window: str = INTERVAL) -> str:
    """Per second."""
    grown = f"rate({metric}{where}[{window}])"
    return f"max by ({', '.join(by)}) ({grown})" if by else f"max({grown})"


def percentiles(histogram: str, label: str, where: str = "", shown: str = "") -> list[Query]:
    """Of a histogram over all values of its label, or of each with `shown`."""
    buckets = (
        f"sum by ({', '.join(filter(None, ['le', shown]))}) ({rate(histogram + '_bucket', 'le', label, where=where)})"
    )
    legend = f"{{{{{shown}}}}} " if shown else ""
    return [(f"histogram_quantile({share}, {buckets})", f"{legend}p{share * 100:.0f}") for share in PERCENTILES]


QUEUED, RUNNING = "codeforge_tasks_queued", "codeforge_tasks_running"
SUBMITTED, FINISHED = "codeforge_tasks_submitted_total", "codeforge_tasks_finished_total"
COST, CALLS = "codeforge_llm_cost_usd_total", "codeforge_llm_requests_total"
REPEATED = "codeforge_llm_calls_repeated_total"
SLOTS, WORKERS = "codeforge_slots", "codeforge_workers"
SPENT_BY_TYPE = f"sum by (type) ({newest(COST, 'type', 'model')})"
ENDED_BY_TYPE = f"sum by (type) ({newest(FINISHED, 'type', 'outcome')})"
WAIT, DURATION = "codeforge_task_queue_wait_seconds", "codeforge_task_duration_seconds"
