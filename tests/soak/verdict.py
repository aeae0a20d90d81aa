"""Prometheus against the ledger's own counts, one by one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from redis import Redis

from codeforge.ledger import keys
from codeforge.metrics import COUNTERS, CounterSpec
from codeforge.worker_types import WorkerType
from tests.servers.prometheus import Prometheus

COMPARED = (
    "submitted",
    "finished",
    "attempts",
    "replayed",
    "llm_requests",
    "llm_tokens",
    "leases_expired",
    "store_errors",
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure, by Redis and by Prometheus."""

    name: str
    ledger: float
    prometheus: float | None

    @property
    def equal(self) -> bool:
        return self.ledger == self.prometheus


def compared(redis: Redis, prometheus: Prometheus) -> list[Comparison]:
    """Every counter of a task or a call, and every depth. Nothing may go on meanwhile."""
    raw: dict[bytes, bytes] = redis.hgetall(keys.STATS)  # type: ignore[assignment]  # over all protocols and decodings
    stats = {name.decode(): float(value) for name, value in raw.items()}
    return [*_counters(stats, prometheus), *_depths(redis, prometheus)]


def _counters(stats: Mapping[str, float], prometheus: Prometheus) -> Iterator[Comparison]:
    for spec in COUNTERS:
        if spec.field not in COMPARED:
            continue
        series = {
            tuple(labels[name] for name in spec.labels): value
            for labels, value in prometheus.query(f"{spec.name}_total")
        }
        told = {_labels(spec, field): value for field, value in stats.items() if field.partition(":")[0] == spec.field}
        for labels in sorted(series.keys() | told.keys()):
            yield Comparison(f"{spec.field} {' '.join(labels)}".strip(), told.get(labels, 0.0), series.get(labels))


def _labels(spec: CounterSpec, field: str) -> tuple[str, ...]:
    rest = field.removeprefix(spec.field).removeprefix(":")
    if not spec.labels:
        return ()
    return tuple(rest.rsplit(":", len(spec.labels) - 1) if spec.model_first else rest.split(":", len(spec.labels) - 1))


def _depths(redis: Redis, prometheus: Prometheus) -> Iterator[Comparison]:
    for kind, key in (
        ("queued", keys.queued),
        ("running", keys.running),
        ("delayed", keys.delayed),
        ("dead", keys.dead),
    ):
        series = {labels["type"]: value for labels, value in prometheus.query(f"codeforge_tasks_{kind}")}
        for worker_type in WorkerType:
            yield Comparison(f"{kind} {worker_type}", redis.zcard(key(worker_type)), series.get(worker_type))
