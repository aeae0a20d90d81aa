"""Outcomes as plain data and as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from codeforge.capacity.measures import percentile
from codeforge.capacity.simulation import Outcome, PoolResult

MEGABYTE = 2**20
NOTHING = "-"


def figures(outcome: Outcome) -> dict[str, Any]:
    """The outcome as plain data; seconds, hours, USD, bytes."""
    return {
        "trace": outcome.trace.text,
        "simulated_s": outcome.length_s,
        "tasks": {name: int(outcome.total(name)) for name in ("arrived", "finished", "lost")}
        | {"unfinished": int(outcome.total("arrived") - outcome.total("finished") - outcome.total("lost"))},
        "queue_wait_s": _waits(outcome.waits),
        "full_capacity_s": outcome.full_s,
        "evictions": {
            "pods_stopped_busy": int(outcome.total("stopped_busy")),
            "tasks_handed_back": int(outcome.total("handed_back")),
            "tasks_cut": int(outcome.total("cut")),
            "work_repeated_s": round(outcome.total("repeated_s"), 1),
        },
        "pods": {"hours": sum(pool.pod_hours for pool in outcome.pools), "most": _most_pods(outcome)},
        "nodes": {"hours": outcome.node_hours, "most": outcome.most_nodes},
        "usd": outcome.usd,
        "redis": {
            "commands_s_mean": outcome.redis.mean_commands_s,
            "commands_s_peak": outcome.redis.peak_commands_s,
            "bytes_peak": outcome.redis.peak_bytes,
        },
        "workers": {pool.workload.name: _of_pool(pool) for pool in outcome.pools},
    }


def _waits(waits: Sequence[float]) -> dict[str, float | None]:
    return {"median": percentile(waits, 50), "p95": percentile(waits, 95), "p99": percentile(waits, 99)}


def _most_pods(outcome: Outcome) -> int:
    return max(sample.replicas for sample in outcome.samples)


def _of_pool(pool: PoolResult) -> dict[str, Any]:
    measures = pool.measures
    return {
        "arrived": measures.arrived,
        "finished": measures.finished,
        "queue_wait_s": _waits(measures.waits),
        "pods_most": measures.most_pods,
        "pod_hours": pool.pod_hours,
        "changes": measures.changes,
    }


def text_lines(outcomes: Mapping[str, Outcome]) -> list[str]:
    """One column for each outcome."""
    columns = [_column(outcome) for outcome in outcomes.values()]
    names = list(columns[0])
    width = max(len(name) for name in names)
    widths = [max(len(title), *map(len, column.values())) for title, column in zip(outcomes, columns, strict=True)]
    heads = "  ".join(title.rjust(size) for title, size in zip(outcomes, widths, strict=True))
    lines = [f"{'':<{width}}  {heads}".rstrip()] if len(outcomes) > 1 else []
    for name in names:
        cells = "  ".join(column[name].rjust(size) for column, size in zip(columns, widths, strict=True))
        lines.append(f"{name:<{width}}  {cells}")
    return lines


def _column(outcome: Outcome) -> dict[str, str]:
    report = figures(outcome)
    waits, tasks, evictions, redis = (report[name] for name in ("queue_wait_s", "tasks", "evictions", "redis"))
    return {
        "tasks arrived": f"{tasks['arrived']:,}",
        "finished / not yet / lost": f"{tasks['finished']:,} / {tasks['unfinished']:,} / {tasks['lost']:,}",
        "queue wait, median": _seconds(waits["median"]),
        "queue wait, p95": _seconds(waits["p95"]),
        "queue wait, p99": _seconds(waits["p99"]),
        **({"full capacity after": _seconds(outcome.full_s)} if outcome.trace.burst else {}),
        "pods stopped while they worked": f"{evictions['pods_stopped_busy']:,}",
        "running tasks handed back": f"{evictions['tasks_handed_back']:,}",
        "running tasks cut": f"{evictions['tasks_cut']:,}",
        "work done twice or lost": f"{evictions['work_repeated_s'] / 60:,.1f} min",
        "pods, most": f"{report['pods']['most']:,}",
        "pod-hours": f"{report['pods']['hours']:,.1f}",
        "nodes, most": f"{outcome.most_nodes:,}",
        "USD": f"{outcome.usd:,.2f}",
        "Redis commands/s, mean / peak": f"{redis['commands_s_mean']:,.0f} / {redis['commands_s_peak']:,.0f}",
        "Redis memory, peak": f"{redis['bytes_peak'] / MEGABYTE:,.0f} MiB",
    }


def _seconds(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.1f} s"
