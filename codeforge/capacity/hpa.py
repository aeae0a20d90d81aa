"""How many pods a HorizontalPodAutoscaler wants by one metric.

Source of the algorithm: kubernetes.io, "Horizontal Pod Autoscaling", "Algorithm details"; in particulars that the page
leaves open, Kubernetes' own controller (pkg/controller/podautoscaler/replica_calculator.go) and its test tables, which
tests/unit/capacity/test_hpa.py follows case by case.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

TOLERANCE = 0.1
CPU_INITIALIZATION_S = 300.0
INITIAL_READINESS_S = 30.0
"""Defaults of kube-controller-manager: `--horizontal-pod-autoscaler-tolerance`, `-cpu-initialization-period` and
`-initial-readiness-delay`."""


class Phase(StrEnum):
    """What the pod's status says."""

    PENDING = "Pending"
    RUNNING = "Running"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class PodMetric:
    """A pod's usage in thousandths (of a core, of a request per second), measured at `at_s` over `window_s`."""

    value: float
    at_s: float = 0.0
    window_s: float = 30.0


@dataclass(frozen=True, slots=True)
class PodStatus:
    """A pod as the autoscaler sees it. `request` is in thousandths; times are seconds on the simulation's clock."""

    name: str
    request: float = 0.0
    phase: Phase = Phase.RUNNING
    ready: bool = True
    deleted: bool = False
    started_at_s: float | None = 0.0
    ready_changed_at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Clock:
    """The moment, and the controller's settings that depend on it."""

    now_s: float = 0.0
    cpu_initialization_s: float = CPU_INITIALIZATION_S
    initial_readiness_s: float = INITIAL_READINESS_S
    tolerance: float = TOLERANCE


@dataclass(frozen=True, slots=True)
class PodGroups:
    """Pods by what their metrics are worth: `ready` count, `ignored` are too young, of `missing` nothing is known."""

    ready: int
    ignored: frozenset[str]
    missing: frozenset[str]


class NoMetrics(Exception):
    """The metric cannot be had; the autoscaler changes nothing by it."""


def group_pods(pods: Sequence[PodStatus], metrics: Mapping[str, PodMetric], clock: Clock, *, cpu: bool) -> PodGroups:
    """Sorts the pods. Deleted and failed ones count nowhere; youth matters for CPU only."""
    ready = 0
    ignored: set[str] = set()
    missing: set[str] = set()
    for pod in pods:
        if pod.deleted or pod.phase is Phase.FAILED:
            continue
        if pod.phase is Phase.PENDING:
            ignored.add(pod.name)
        elif pod.name not in metrics:
            missing.add(pod.name)
        elif cpu and _too_young(pod, metrics[pod.name], clock):
            ignored.add(pod.name)
        else:
            ready += 1
    return PodGroups(ready, frozenset(ignored), frozenset(missing))


def _too_young(pod: PodStatus, metric: PodMetric, clock: Clock) -> bool:
    """Whether the CPU of a start, not of work, is in the metric."""
    if pod.started_at_s is None:
        return True
    if pod.started_at_s + clock.cpu_initialization_s > clock.now_s:
        return not pod.ready or metric.at_s < pod.ready_changed_at_s + metric.window_s
    return not pod.ready and pod.started_at_s + clock.initial_readiness_s > pod.ready_changed_at_s


def utilization_replicas(
    current: int, target_percent: int, pods: Sequence[PodStatus], metrics: Mapping[str, PodMetric], clock: Clock
) -> int:
    """By a resource's average utilisation of its requests. Raises NoMetrics."""
    requests = {pod.name: pod.request for pod in pods}
    if not all(requests.values()):
        raise NoMetrics("missing request")

    def ratio(known: Mapping[str, float]) -> float:
        matched = known.keys() & requests.keys()
        requested = sum(requests[name] for name in matched)
        if not requested:
            raise NoMetrics("no metrics returned matched known pods")
        percent = int(sum(known[name] for name in matched) * 100 / requested)  # a whole number, as the API shows it
        return percent / target_percent

    return _replicas(current, pods, metrics, clock, ratio, requests, cpu=True)


def average_replicas(
    current: int, target: float, pods: Sequence[PodStatus], metrics: Mapping[str, PodMetric], clock: Clock
) -> int:
    """By the average of a metric of the pods themselves (`type: Pods`). Raises NoMetrics."""

    def ratio(known: Mapping[str, float]) -> float:
        return int(sum(known.values()) / len(known)) / target

    return _replicas(current, pods, metrics, clock, ratio, {pod.name: target for pod in pods}, cpu=False)


def _replicas(
    current: int,
    pods: Sequence[PodStatus],
    metrics: Mapping[str, PodMetric],
    clock: Clock,
    ratio_of: Callable[[Mapping[str, float]], float],
    full_use: Mapping[str, float],
    *,
    cpu: bool,
) -> int:
    """The common part: pods of which too little is known are taken to speak against the change."""
    groups = group_pods(pods, metrics, clock, cpu=cpu)
    known = {name: metric.value for name, metric in metrics.items() if name not in groups.ignored}
    if not known:
        raise NoMetrics("no metrics of any ready pod")
    ratio = ratio_of(known)
    rebalance = bool(groups.ignored) and ratio > 1.0
    if not rebalance and not groups.missing:
        return current if abs(1.0 - ratio) <= clock.tolerance else math.ceil(ratio * groups.ready)
    if ratio < 1.0:
        known |= {name: full_use[name] for name in groups.missing}
    elif ratio > 1.0 or not cpu:
        known |= dict.fromkeys(groups.missing, 0.0)
    if rebalance:
        known |= dict.fromkeys(groups.ignored, 0.0)
    new_ratio = ratio_of(known)
    if abs(1.0 - new_ratio) <= clock.tolerance or (ratio < 1.0 < new_ratio) or (new_ratio < 1.0 < ratio):
        return current
    wanted = math.ceil(new_ratio * len(known))
    turned_back = (new_ratio < 1.0 and wanted > current) or (new_ratio > 1.0 and wanted < current)
    return current if turned_back else wanted


def per_pod_replicas(status_replicas: int, total: float, target: float, tolerance: float = TOLERANCE) -> int:
    """By a metric from outside that the pods share (`AverageValue` of an External or Object metric): what KEDA uses."""
    if status_replicas and abs(1.0 - total / (target * status_replicas)) <= tolerance:
        return status_replicas
    return math.ceil(total / target)


def value_replicas(current: int, value: float, target: float, ready_pods: int, tolerance: float = TOLERANCE) -> int:
    """By a metric from outside that is a ratio of its target (`Value`): multiplies the ready pods."""
    ratio = value / target
    if not current:
        return math.ceil(ratio)
    return current if abs(1.0 - ratio) <= tolerance else math.ceil(ratio * ready_pods)


def strongest(spec_replicas: int, wanted: Sequence[int | None]) -> int | None:
    """The largest wish of several metrics; None where the HPA changes nothing. A metric that cannot be had (None)
    forbids a scale-in: it might have wanted more."""
    known = [wish for wish in wanted if wish is not None]
    if not known or (len(known) < len(wanted) and max(known) < spec_replicas):
        return None
    return max(known)
