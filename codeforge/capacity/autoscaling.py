"""The control loops: KEDA's polls and the HPA's syncs, on one pool."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from codeforge.capacity.assumptions import Assumptions
from codeforge.capacity.behavior import Behavior, Bounds, History, limited
from codeforge.capacity.events import EventLoop
from codeforge.capacity.hpa import (
    Clock,
    NoMetrics,
    Phase,
    PodMetric,
    PodStatus,
    per_pod_replicas,
    strongest,
    utilization_replicas,
    value_replicas,
)
from codeforge.capacity.keda import Activity, Metric, MetricType, Readings, ScaledObject
from codeforge.capacity.pods import Pod, PodState
from codeforge.capacity.pool import Pool
from codeforge.capacity.workloads import PlainHpa, Resource, ResourceMetric
from codeforge.ledger import keys

Wishes = Callable[[], list[int | None]]


@dataclass(slots=True)
class HpaLoop:
    """One HPA: every sync it asks its metrics how many pods they want, and writes what the rules leave of it."""

    pool: Pool
    loop: EventLoop
    given: Assumptions
    bounds: Bounds
    behavior: Behavior
    wishes: Wishes
    history: History = field(default_factory=History)

    def sync(self) -> None:
        """One look. With no pods it does nothing: getting to one is KEDA's business."""
        now_s, current = self.loop.now_s, self.pool.replicas
        if not current:
            return
        wanted = self._wanted(current, now_s)
        if wanted is not None and wanted != current:
            self.loop.after(self.given.control.write_s, lambda: self._write(current, wanted))

    def _wanted(self, current: int, now_s: float) -> int | None:
        if current > self.bounds.most:
            return self.bounds.most
        if current < self.bounds.least:
            return self.bounds.least
        wish = strongest(current, self.wishes())
        if wish is None:
            return None
        stable = self.history.stabilized(current, wish, self.behavior, now_s)
        return limited(current, stable, self.bounds, self.behavior, self.history, now_s)

    def _write(self, before: int, after: int) -> None:
        if self.pool.replicas == before:
            self.history.record(before, after, self.behavior, self.loop.now_s)
            self.pool.scale_to(after)


def start_scaler(pool: Pool, loop: EventLoop, given: Assumptions, rng: random.Random) -> None:
    """Starts what scales the pool, each loop at a moment of its own. A pool without a scaler keeps its replicas."""
    scaler = pool.workload.scaler
    if isinstance(scaler, ScaledObject):
        _start_keda(scaler, pool, loop, given, rng)
    elif scaler is not None:
        pool.scale_to(scaler.bounds.least)
        _start_hpa(
            HpaLoop(pool, loop, given, scaler.bounds, scaler.behavior, _resource_wishes(scaler, pool, loop, given)), rng
        )
    else:
        pool.scale_to(pool.workload.replicas)


def _start_hpa(hpa: HpaLoop, rng: random.Random) -> None:
    period_s = hpa.given.control.sync_s
    hpa.loop.every(period_s, rng.uniform(0.0, period_s), hpa.sync)


def _start_keda(scaled: ScaledObject, pool: Pool, loop: EventLoop, given: Assumptions, rng: random.Random) -> None:
    activity = Activity()

    def poll() -> None:
        active, failed = activity.is_active(scaled, readings(scaled, pool))
        wanted = activity.requested(scaled, pool.replicas, active, failed, loop.now_s)
        if wanted is not None:
            pool.scale_to(wanted)

    def wishes() -> list[int | None]:
        metrics = activity.metrics(scaled, readings(scaled, pool), pool.replicas)
        return [_wish(metric, pool, given.control.tolerance) for metric in metrics]

    loop.every(scaled.polling_s, rng.uniform(0.0, scaled.polling_s), poll)
    _start_hpa(HpaLoop(pool, loop, given, scaled.bounds, scaled.behavior, wishes), rng)


def readings(scaled: ScaledObject, pool: Pool) -> Readings:
    """What the triggers read now, by the names of the ledger's keys and of Celery's queues. The outbox is taken to be
    empty."""
    return {trigger.name: _reading(trigger.source, pool) for trigger in scaled.triggers}


def _reading(source: str, pool: Pool) -> float:
    for worker_type in pool.workload.types:
        if source in (keys.queued(worker_type), worker_type.value):
            return float(len(pool.queue))
        if source == keys.running(worker_type):
            return float(pool.running)
        if source.endswith(f"/autoscale/{worker_type}"):
            return float(len(pool.queue) + pool.running)
    return 0.0


def _wish(metric: Metric, pool: Pool, tolerance: float) -> int | None:
    if metric.value is None:
        return None
    if metric.type is MetricType.AVERAGE_VALUE:
        return per_pod_replicas(pool.replicas, metric.value, metric.target, tolerance)
    ready = sum(pod.state is PodState.READY for pod in pool.pods)
    return value_replicas(pool.replicas, metric.value, metric.target, ready, tolerance)


def _resource_wishes(hpa: PlainHpa, pool: Pool, loop: EventLoop, given: Assumptions) -> Wishes:
    def wishes() -> list[int | None]:
        clock = Clock(now_s=loop.now_s, tolerance=given.control.tolerance)
        return [_resource_wish(metric, pool, clock, given) for metric in hpa.metrics]

    return wishes


def _resource_wish(metric: ResourceMetric, pool: Pool, clock: Clock, given: Assumptions) -> int | None:
    request = pool.workload.cpu if metric.resource is Resource.CPU else pool.workload.memory
    statuses = [_status(pod, request) for pod in pool.pods]
    metrics = {
        str(id(pod)): PodMetric(_use(metric.resource, pod, given) * 1000, clock.now_s)
        for pod in pool.pods
        if pod.state is PodState.READY and clock.now_s - pod.ready_s >= given.control.scrape_s
    }
    try:
        return utilization_replicas(pool.replicas, metric.percent, statuses, metrics, clock)
    except NoMetrics:
        return None


def _status(pod: Pod, request: float) -> PodStatus:
    pending = pod.state is PodState.PENDING
    return PodStatus(
        str(id(pod)),
        request * 1000,
        Phase.PENDING if pending else Phase.RUNNING,
        pod.state is PodState.READY,
        pod.state is PodState.TERMINATING,
        None if pending else pod.placed_s,
        pod.ready_s,
    )


def _use(resource: Resource, pod: Pod, given: Assumptions) -> float:
    task = given.task
    if resource is Resource.CPU:
        return task.base_cpu + task.cpu * len(pod.running)
    return task.base_memory + task.memory * len(pod.running)
