"""What becomes of tasks: over all, and by worker type."""

from tools.dashboards.panel import Dashboard, Panel
from tools.dashboards.queries import (
    DURATION,
    FINISHED,
    INTERVAL,
    OF_TYPE,
    QUEUED,
    RUNNING,
    SLOTS,
    SUBMITTED,
    WAIT,
    WORKERS,
    newest,
    percentiles,
    rate,
)

OVERVIEW = Dashboard(
    "overview",
    "CodeForge: overview",
    (
        Panel(
            "Waiting", "short", [(f"sum({newest(QUEUED, 'type')})", "")], "Tasks that wait to be claimed.", stat=True
        ),
        Panel("Running", "short", [(f"sum({newest(RUNNING, 'type')})", "")], "Tasks that run.", stat=True),
        Panel(
            "Workers",
            "short",
            [(f"sum({newest(WORKERS, 'type')})", "")],
            "Live worker processes; one that serves every type counts for each.",
            stat=True,
        ),
        Panel(
            "Results not stored",
            "short",
            [(newest("codeforge_outbox_lag"), "")],
            "What the projector has to do.",
            stat=True,
        ),
        Panel(
            "Dead",
            "short",
            [(f"sum({newest('codeforge_tasks_dead', 'type')})", "")],
            "Tasks whose attempts are used up, to be replayed or forgotten.",
            stat=True,
        ),
        Panel(
            "Alerts", "short", [('count(ALERTS{alertstate="firing"}) or vector(0)', "")], "How many fire.", stat=True
        ),
        Panel("Submitted", "reqps", [(rate(SUBMITTED, "type"), "{{type}}")], "Tasks accepted a second."),
        Panel(
            "Ended",
            "reqps",
            [(f"sum by (outcome) ({rate(FINISHED, 'type', 'outcome')})", "{{outcome}}")],
            "Tasks ended a second, by how.",
        ),
        Panel("Waiting by type", "short", [(newest(QUEUED, "type"), "{{type}}")], "Tasks that wait to be claimed."),
        Panel("Running by type", "short", [(newest(RUNNING, "type"), "{{type}}")], "Tasks that run."),
        Panel("Time to start", "s", percentiles(WAIT, "type"), "From queued to claimed, all types."),
        Panel(
            "Oldest that waits",
            "s",
            [
                (newest("codeforge_oldest_queued_seconds", "type"), "{{type}}"),
                (newest("codeforge_patience_seconds", "type"), "{{type}}, at most"),
            ],
            "Beyond its type's patience an alert fires.",
        ),
        Panel(
            "Workers lost",
            "short",
            [(newest("codeforge_leases_expired_total"), "so far")],
            "Workers that stopped without a word.",
        ),
        Panel(
            "Ledger errors",
            "reqps",
            [(f"sum(rate(codeforge_ledger_errors_total[{INTERVAL}]))", "errors")],
            "Requests that the ledger failed, over all replicas of the API.",
        ),
        Panel(
            "Memory of the API",
            "bytes",
            [('process_resident_memory_bytes{job="codeforge-api"}', "{{instance}}")],
            "Of each replica.",
        ),
        Panel(
            "Scrapes",
            "s",
            [('scrape_duration_seconds{job="codeforge-api"}', "{{instance}}")],
            "How long a replica takes to give its figures.",
        ),
    ),
)

WORKER_TYPE = Dashboard(
    "worker-type",
    "CodeForge: per worker type",
    (
        Panel(
            "Waiting, running",
            "short",
            [
                (newest(QUEUED, "type", where=OF_TYPE), "{{type}} wait"),
                (newest(RUNNING, "type", where=OF_TYPE), "{{type}} run"),
                (newest("codeforge_tasks_delayed", "type", where=OF_TYPE), "{{type}} later"),
                (newest("codeforge_tasks_held", "type", "cap", where=OF_TYPE), "{{type}} held by {{cap}}"),
            ],
            "Later: a delay, or a retry. Held: over a cap.",
        ),
        Panel(
            "Arrivals, ends",
            "reqps",
            [
                (rate(SUBMITTED, "type", where=OF_TYPE), "{{type}} submitted"),
                (rate(FINISHED, "type", "outcome", where=OF_TYPE), "{{type}} {{outcome}}"),
            ],
            "A second.",
        ),
        Panel("Time to start", "s", percentiles(WAIT, "type", OF_TYPE, "type"), "From queued to claimed."),
        Panel("Time to run", "s", percentiles(DURATION, "type", OF_TYPE, "type"), "From the last claim to the end."),
        Panel(
            "Ends of attempts",
            "reqps",
            [(rate("codeforge_task_attempts_total", "type", "reason", where=OF_TYPE), "{{type}} {{reason}}")],
            "Attempts that ended a second, and why.",
        ),
        Panel(
            "Oldest that waits",
            "s",
            [
                (newest("codeforge_oldest_queued_seconds", "type", where=OF_TYPE), "{{type}}"),
                (newest("codeforge_patience_seconds", "type", where=OF_TYPE), "{{type}}, at most"),
            ],
            "Beyond its type's patience an alert fires.",
        ),
        Panel(
            "Slots",
            "short",
            [
                (newest(SLOTS, "type", where=OF_TYPE), "{{type}} slots"),
                (newest(WORKERS, "type", where=OF_TYPE), "{{type}} workers"),
            ],
            "Tasks that the live workers take at once.",
        ),
        Panel(
            "Dead, replayed",
            "short",
            [
                (newest("codeforge_tasks_dead", "type", where=OF_TYPE), "{{type}} dead"),
                (newest("codeforge_tasks_replayed_total", "type", where=OF_TYPE), "{{type}} replayed so far"),
            ],
            "Tasks whose attempts are used up; run again on request.",
        ),
    ),
    by_type=True,
)
