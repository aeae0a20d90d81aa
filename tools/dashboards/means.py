"""What tasks need: money, stores, workers."""

from tools.dashboards.panel import Dashboard, Panel
from tools.dashboards.queries import (
    CALLS,
    COST,
    ENDED_BY_TYPE,
    FINISHED,
    QUEUED,
    REPEATED,
    RUNNING,
    SLOTS,
    SPENT_BY_TYPE,
    WAIT,
    WORKERS,
    newest,
    percentiles,
    rate,
)

MONEY = Dashboard(
    "money",
    "CodeForge: money",
    (
        Panel("Spent", "currencyUSD", [(f"sum({newest(COST, 'type', 'model')})", "")], "On models, so far.", stat=True),
        Panel(
            "Budget of 30 days",
            "currencyUSD",
            [("codeforge:llm_budget_usd:30d", "")],
            "As the recording rule says.",
            stat=True,
        ),
        Panel(
            "Calls repeated",
            "short",
            [(f"sum({newest(REPEATED, 'type')})", "")],
            "Calls that were sent twice, after a crash.",
            stat=True,
        ),
        Panel(
            "Burn rate",
            "x",
            [(f"codeforge:llm_budget_burn:rate{window}", window) for window in ("5m", "30m", "1h", "6h")],
            "How often the budget would be spent in 30 days at this pace. An alert fires over 14.4 (1h) and 3 (6h).",
        ),
        Panel(
            "USD an hour by type",
            "currencyUSD",
            [(f"3600 * sum by (type) ({rate(COST, 'type', 'model')})", "{{type}}")],
            "At the pace of now.",
        ),
        Panel(
            "USD an hour by model",
            "currencyUSD",
            [(f"3600 * sum by (model) ({rate(COST, 'type', 'model')})", "{{model}}")],
            "At the pace of now.",
        ),
        Panel(
            "USD a task",
            "currencyUSD",
            [
                (f"{SPENT_BY_TYPE} / {ENDED_BY_TYPE}", "{{type}}"),
            ],
            "What a task that ended has cost, on average since the start.",
        ),
        Panel(
            "Tokens",
            "short",
            [(rate("codeforge_llm_tokens_total", "model", "direction"), "{{model}} {{direction}}")],
            "A second.",
        ),
        Panel(
            "Calls by outcome",
            "reqps",
            [(rate(CALLS, "model", "outcome"), "{{model}} {{outcome}}")],
            "Outcomes other than ok are codes of errors.",
        ),
        Panel("Calls repeated by type", "short", [(newest(REPEATED, "type"), "{{type}}")], "So far."),
        Panel(
            "USD saved by reuse",
            "currencyUSD",
            [(newest("codeforge_reuse_saved_usd_total"), "USD")],
            "What the earlier results that were given again had spent on models, so far.",
        ),
        Panel(
            "Work saved by reuse",
            "short",
            [(newest("codeforge_reuse_saved_total", "what"), "{{what}}")],
            "What was not done again, so far.",
        ),
    ),
)

STORES = Dashboard(
    "stores",
    "CodeForge: stores",
    (
        Panel(
            "Results not stored",
            "short",
            [(newest("codeforge_outbox_lag"), "results")],
            "Finished tasks that await their projection.",
        ),
        Panel(
            "Bytes not stored",
            "bytes",
            [(newest("codeforge_outbox_bytes"), "bytes")],
            "At a limit submissions get 503 outbox_full.",
        ),
        Panel(
            "Results refused",
            "short",
            [(newest("codeforge_outbox_dead_letters"), "dead letters")],
            "See codeforge outbox inspect.",
        ),
        Panel(
            "Errors", "reqps", [(rate("codeforge_store_errors_total", "store"), "{{store}}")], "Failed writes a second."
        ),
        Panel(
            "Time of a batch",
            "s",
            percentiles("codeforge_projection_seconds", "store", shown="store"),
            "Writing one batch to a store.",
        ),
        Panel(
            "Batches",
            "reqps",
            [(rate("codeforge_projection_seconds_count", "store"), "{{store}}")],
            "Written a second.",
        ),
        Panel(
            "Tasks in a batch",
            "short",
            [
                (
                    f"{rate('codeforge_projection_batch_size_sum')} / {rate('codeforge_projection_batch_size_count')}",
                    "tasks",
                ),
            ],
            "On average.",
        ),
        Panel(
            "Results stored",
            "reqps",
            [
                (rate("codeforge_projection_batch_size_sum"), "stored"),
                (f"sum({rate(FINISHED, 'type', 'outcome')})", "ended"),
            ],
            "A second. Stored less than ended: the outbox grows.",
        ),
    ),
)

AUTOSCALING = Dashboard(
    "autoscaling",
    "CodeForge: autoscaling",
    (
        Panel(
            "To do",
            "short",
            [(f"{newest(QUEUED, 'type')} + {newest(RUNNING, 'type')}", "{{type}}")],
            "Waiting and running: what KEDA scales the workers by.",
        ),
        Panel("Workers", "short", [(newest(WORKERS, "type"), "{{type}}")], "Live worker processes."),
        Panel("Slots", "short", [(newest(SLOTS, "type"), "{{type}}")], "Tasks that these take at once."),
        Panel(
            "Slots in use",
            "percentunit",
            [(f"{newest(RUNNING, 'type')} / ({newest(SLOTS, 'type')} > 0)", "{{type}}")],
            "Nothing for a type without workers.",
        ),
        Panel(
            "Held by a cap",
            "short",
            [(newest("codeforge_tasks_held", "type", "cap"), "{{type}} {{cap}}")],
            "More workers do not help these.",
        ),
        Panel("Time to start", "s", percentiles(WAIT, "type", shown="type"), "What scaling is there for."),
        Panel(
            "Projector: to do",
            "short",
            [(newest("codeforge_outbox_lag"), "results")],
            "What KEDA scales the projector by.",
        ),
        Panel(
            "Pods marked",
            "short",
            [(newest("codeforge_pod_marks_total", "outcome"), "{{outcome}}")],
            "Marks of busy pods for the scale-in, so far.",
        ),
        Panel(
            "Workers lost",
            "short",
            [(newest("codeforge_leases_expired_total"), "so far")],
            "A scale-in that kills instead of draining shows here.",
        ),
    ),
)
