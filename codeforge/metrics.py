"""The ledger's counters and depths as Prometheus metrics.

They are kept by the ledger's own scripts, so that they are exact, survive any kill, and are the same from every API
replica (aggregate with `max`). Counter fields of `cf:stats`: `<name>:<labels>`, and for histograms
`hist:<name>:<label>:<bucket number or sum>` in milliseconds.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric

from codeforge.ledger.keys import HISTOGRAM_BOUNDS_MS
from codeforge.ledger.port import LedgerSnapshot

MAX_MODELS = 50
"""Models that get their own label value; clients may name models, so the rest is counted together as `other`."""

INFINITY = "+Inf"


@dataclass(frozen=True, slots=True)
class CounterSpec:
    """One family of counters. `labels` are the parts of the field after its name, the last one split off first when
    `model_first`, because a model's name may hold colons."""

    field: str
    name: str
    help: str
    labels: tuple[str, ...]
    model_first: bool = False


COUNTERS = (
    CounterSpec("submitted", "codeforge_tasks_submitted", "Tasks accepted.", ("type",)),
    CounterSpec("finished", "codeforge_tasks_finished", "Tasks ended, by their state.", ("type", "outcome")),
    CounterSpec("attempts", "codeforge_task_attempts", "Attempts ended, and why.", ("type", "reason")),
    CounterSpec("replayed", "codeforge_tasks_replayed", "Tasks run again on request.", ("type",)),
    CounterSpec("llm_requests", "codeforge_llm_requests", "Model calls.", ("model", "outcome"), model_first=True),
    CounterSpec("llm_tokens", "codeforge_llm_tokens", "Tokens.", ("model", "direction"), model_first=True),
    CounterSpec("llm_cost", "codeforge_llm_cost_usd", "Spent on models, in USD.", ("type", "model")),
    CounterSpec("calls_repeated", "codeforge_llm_calls_repeated", "Calls begun by an earlier attempt too.", ("type",)),
    CounterSpec("store_errors", "codeforge_store_errors", "Failed writes of a store.", ("store",)),
)

HISTOGRAMS = {
    "held": ("codeforge_task_held_seconds", "From queued to let through by the caps.", "type"),
    "wait": ("codeforge_task_queue_wait_seconds", "From queued to claimed.", "type"),
    "duration": ("codeforge_task_duration_seconds", "From the last claim to the end.", "type"),
    "projection": ("codeforge_projection_seconds", "Writing one batch to a store.", "store"),
}

GAUGES = {
    "queued": ("codeforge_tasks_queued", "Tasks that wait to be claimed."),
    "running": ("codeforge_tasks_running", "Tasks that run."),
    "delayed": ("codeforge_tasks_delayed", "Tasks that wait for a time or a retry."),
    "dead": ("codeforge_tasks_dead", "Tasks whose attempts are used up."),
    "workers": ("codeforge_workers", "Live worker processes."),
    "slots": ("codeforge_slots", "Tasks that the live workers take at once."),
    "oldest_queued_s": ("codeforge_oldest_queued_seconds", "Age of the oldest waiting task."),
}


class LedgerMetrics:
    """A collector over one snapshot (`prometheus_client.registry.Collector`)."""

    def __init__(self, snapshot: LedgerSnapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Every family of the contract, those without a sample too."""
        counters = self._snapshot.counters
        for spec in COUNTERS:
            yield _counter(spec, counters)
        for field, (name, text, label) in HISTOGRAMS.items():
            yield _histogram(name, text, label, f"hist:{field}:", counters)
        yield from self._gauges()
        batch = SummaryMetricFamily("codeforge_projection_batch_size", "Tasks projected at once.")
        batch.add_metric([], int(counters.get("batch:count", 0)), counters.get("batch:tasks", 0.0))
        yield batch

    def _held(self) -> Metric:
        """No label for the tenant: there may be any number of them."""
        gauge = GaugeMetricFamily("codeforge_tasks_held", "Tasks that wait for a cap.", labels=["type", "cap"])
        for worker_type, depth in self._snapshot.depths.items():
            gauge.add_metric([worker_type.value, "tenant"], depth.held_by_tenant)
            gauge.add_metric([worker_type.value, "agents"], depth.held - depth.held_by_tenant)
        return gauge

    def _gauges(self) -> Iterator[Metric]:
        for field, (name, text) in GAUGES.items():
            gauge = GaugeMetricFamily(name, text, labels=["type"])
            for worker_type, depth in self._snapshot.depths.items():
                gauge.add_metric([worker_type.value], getattr(depth, field))
            yield gauge
        yield self._held()
        yield GaugeMetricFamily(
            "codeforge_outbox_lag", "Finished tasks that await their projection.", self._snapshot.outbox_entries
        )
        yield GaugeMetricFamily(
            "codeforge_outbox_bytes", "Inputs and results that await their projection.", self._snapshot.outbox_bytes
        )
        yield GaugeMetricFamily(
            "codeforge_outbox_dead_letters", "Results that a store refused.", self._snapshot.outbox_dead
        )


def _counter(spec: CounterSpec, counters: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(spec.name, spec.help, labels=spec.labels)
    sums: dict[tuple[str, ...], float] = defaultdict(float)
    models: set[str] = set()
    for field, value in sorted(counters.items()):  # so that it is the same models everywhere that are named
        name, _, rest = field.partition(":")
        if name != spec.field:
            continue
        parts = rest.rsplit(":", len(spec.labels) - 1) if spec.model_first else rest.split(":", len(spec.labels) - 1)
        sums[_bounded(spec.labels, parts, models)] += value
    for labels, value in sums.items():
        family.add_metric(labels, value)
    return family


def _bounded(names: Iterable[str], values: Iterable[str], models: set[str]) -> tuple[str, ...]:
    labels = []
    for name, value in zip(names, values, strict=True):
        if name == "model" and value not in models:
            if len(models) >= MAX_MODELS:
                labels.append("other")
                continue
            models.add(value)
        labels.append(value)
    return tuple(labels)


def _histogram(name: str, text: str, label: str, prefix: str, counters: Mapping[str, float]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=[label])
    buckets: dict[str, dict[str, float]] = defaultdict(dict)
    for field, value in counters.items():
        if field.startswith(prefix):
            who, _, bucket = field.removeprefix(prefix).rpartition(":")
            buckets[who][bucket] = value
    for who, found in sorted(buckets.items()):
        total, cumulative = 0.0, []
        for number, bound in enumerate([*HISTOGRAM_BOUNDS_MS, None], start=1):
            total += found.get(str(number), 0.0)
            cumulative.append((INFINITY if bound is None else repr(bound / 1000), total))
        family.add_metric([who], cumulative, found.get("sum", 0.0) / 1000)
    return family


def observed(name: str, label: str, seconds: float) -> dict[str, float]:
    """The counters that one observation of a histogram adds to."""
    milliseconds = seconds * 1000
    numbers = (n for n, bound in enumerate(HISTOGRAM_BOUNDS_MS, start=1) if milliseconds <= bound)
    bucket = next(numbers, len(HISTOGRAM_BOUNDS_MS) + 1)
    return {f"hist:{name}:{label}:{bucket}": 1, f"hist:{name}:{label}:sum": milliseconds}
