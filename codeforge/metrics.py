"""The ledger's counters and depths as Prometheus metrics.

They are kept by the ledger's own scripts, so that they are exact, survive any kill, and are the same from every API
replica (aggregate with `max`). Counter fields of `cf:stats`: `<name>:<labels>`, and for histograms
`hist:<name>:<label>:<bucket number or sum>` in milliseconds. The scripts bound the names of models; every other label
has the values that are listed here, each of which is there from the start, as 0: the first dead task is an increase.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as PrometheusExemplar

from codeforge.ledger.keys import HISTOGRAM_BOUNDS_MS
from codeforge.ledger.port import Exemplar, LedgerSnapshot
from codeforge.task import TaskState
from codeforge.worker_types import SPECS, WorkerType

INFINITY = "+Inf"


@dataclass(frozen=True, slots=True)
class CounterSpec:
    """One family of counters. `labels` are the parts of the field after its name, the last one split off first when
    `model_first`, because a model's name may hold colons. `known` are the values of each label, where all are known."""

    field: str
    name: str
    help: str
    labels: tuple[str, ...]
    known: tuple[tuple[str, ...], ...] | None = None
    model_first: bool = False


TYPES = tuple(worker_type.value for worker_type in WorkerType)
OUTCOMES = tuple(state.value for state in TaskState if state.terminal)
REASONS = ("succeeded", "failed", "cancelled", "retry", "timeout", "worker_lost", "handed_back")
STORES = ("graph", "vectors", "embeddings")
MARKS = ("written", "pod_changed", "cluster_unavailable", "cluster_busy", "cluster_forbidden")
REUSING = (WorkerType.ANALYSIS.value,)
SAVED = ("fetches", "searches", "model_calls", "tokens")

COUNTERS = (
    CounterSpec("submitted", "codeforge_tasks_submitted", "Tasks accepted.", ("type",), (TYPES,)),
    CounterSpec("finished", "codeforge_tasks_finished", "Tasks ended.", ("type", "outcome"), (TYPES, OUTCOMES)),
    CounterSpec(
        "attempts", "codeforge_task_attempts", "Attempts ended, and why.", ("type", "reason"), (TYPES, REASONS)
    ),
    CounterSpec("replayed", "codeforge_tasks_replayed", "Tasks run again on request.", ("type",), (TYPES,)),
    CounterSpec("llm_requests", "codeforge_llm_requests", "Model calls.", ("model", "outcome"), model_first=True),
    CounterSpec("llm_tokens", "codeforge_llm_tokens", "Tokens.", ("model", "direction"), model_first=True),
    CounterSpec("llm_cost", "codeforge_llm_cost_usd", "Spent on models, in USD.", ("type", "model")),
    CounterSpec("calls_repeated", "codeforge_llm_calls_repeated", "Paid requests sent twice.", ("type",), (TYPES,)),
    CounterSpec("leases_expired", "codeforge_leases_expired", "Workers that stopped without a word.", (), ()),
    CounterSpec("pod_marks", "codeforge_pod_marks", "Marks of busy and idle pods.", ("outcome",), (MARKS,)),
    CounterSpec("reused", "codeforge_results_reused", "Earlier results given instead of work.", ("type",), (REUSING,)),
    CounterSpec("reuse_saved", "codeforge_reuse_saved", "Work that was not done again.", ("what",), (SAVED,)),
    CounterSpec("reuse_saved_usd", "codeforge_reuse_saved_usd", "What that work had spent on models, in USD.", (), ()),
    CounterSpec("store_errors", "codeforge_store_errors", "Failed writes of a store.", ("store",), (STORES,)),
)
"""`reason` is the attempt's end: one of a dead task is a `retry` too. `llm_requests` has the codes of `ModelError` as
outcomes, and `ok`."""


@dataclass(frozen=True, slots=True)
class HistogramSpec:
    """One family of histograms: its name in the counters and outside, its label and that one's values."""

    field: str
    name: str
    help: str
    label: str = "type"
    known: tuple[str, ...] = TYPES


HISTOGRAMS = (
    HistogramSpec("held", "codeforge_task_held_seconds", "From queued to let through by the caps."),
    HistogramSpec("wait", "codeforge_task_queue_wait_seconds", "From queued to claimed."),
    HistogramSpec("duration", "codeforge_task_duration_seconds", "From the last claim to the end."),
    HistogramSpec("projection", "codeforge_projection_seconds", "Writing one batch to a store.", "store", STORES),
)

GAUGES = {
    "queued": ("codeforge_tasks_queued", "Tasks that wait to be claimed."),
    "running": ("codeforge_tasks_running", "Tasks that run."),
    "delayed": ("codeforge_tasks_delayed", "Tasks that wait for a time or a retry."),
    "dead": ("codeforge_tasks_dead", "Tasks whose attempts are used up."),
    "workers": ("codeforge_workers", "Live worker processes."),
    "slots": ("codeforge_slots", "Tasks that the live workers take at once."),
    "oldest_queued_s": ("codeforge_oldest_queued_seconds", "Age of the oldest waiting task."),
}


class LedgerMetrics(Collector):
    """A collector over one snapshot."""

    def __init__(self, snapshot: LedgerSnapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Every family of the contract, those without a sample too."""
        counters = self._snapshot.counters
        for spec in COUNTERS:
            yield _counter(spec, counters)
        for histogram in HISTOGRAMS:
            yield _histogram(histogram, self._snapshot)
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
        patience = GaugeMetricFamily(
            "codeforge_patience_seconds", "How long tasks may wait unnoticed.", labels=["type"]
        )
        for spec in SPECS.values():
            patience.add_metric([spec.type.value], spec.patience_s)
        yield patience
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
    values = dict.fromkeys(product(*spec.known), 0.0) if spec.known is not None else {}
    for field, value in counters.items():
        name, _, rest = field.partition(":")
        if name == spec.field:
            values[_labels(spec, rest)] = value
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _labels(spec: CounterSpec, text: str) -> tuple[str, ...]:
    splits = len(spec.labels) - 1
    if splits < 0:
        return ()
    return tuple(text.rsplit(":", splits) if spec.model_first else text.split(":", splits))


def _histogram(spec: HistogramSpec, snapshot: LedgerSnapshot) -> Metric:
    family = HistogramMetricFamily(spec.name, spec.help, labels=[spec.label])
    prefix = f"hist:{spec.field}:"
    found: dict[str, dict[str, float]] = {who: {} for who in spec.known}
    for field, value in snapshot.counters.items():
        if field.startswith(prefix):
            who, _, bucket = field.removeprefix(prefix).rpartition(":")
            found.setdefault(who, {})[bucket] = value
    for who, buckets in found.items():
        total, cumulative = 0.0, list[tuple[str, float] | tuple[str, float, PrometheusExemplar]]()
        for number, bound in enumerate([*HISTOGRAM_BOUNDS_MS, None], start=1):
            total += buckets.get(str(number), 0.0)
            name = INFINITY if bound is None else repr(bound / 1000)
            exemplar = snapshot.exemplars.get(f"{spec.field}:{who}:{number}")
            cumulative.append((name, total) if exemplar is None else (name, total, _exemplar(exemplar)))
        family.add_metric([who], cumulative, buckets.get("sum", 0.0) / 1000)
    return family


def _exemplar(exemplar: Exemplar) -> PrometheusExemplar:
    return PrometheusExemplar({"trace_id": exemplar.trace_id}, exemplar.value_ms / 1000, exemplar.at_ms / 1000)


def observed(name: str, label: str, seconds: float) -> dict[str, float]:
    """The counters that one observation of a histogram adds to."""
    milliseconds = seconds * 1000
    numbers = (n for n, bound in enumerate(HISTOGRAM_BOUNDS_MS, start=1) if milliseconds <= bound)
    bucket = next(numbers, len(HISTOGRAM_BOUNDS_MS) + 1)
    return {f"hist:{name}:{label}:{bucket}": 1, f"hist:{name}:{label}:sum": milliseconds}
