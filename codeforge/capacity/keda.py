"""What KEDA does with a ScaledObject: it switches between none and some pods itself, and gives the HPA its metrics.

Source: keda.sh, "Scaling Deployments" and "ScaledObject specification"; in particulars KEDA's executor and fallback
(pkg/scaling/executor/scale_scaledobjects.go, pkg/fallback/fallback.go) and their tests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from codeforge.capacity.behavior import Behavior, Bounds
from codeforge.capacity.formula import Formula, FormulaError

POLLING_S = 30.0
COOLDOWN_S = 300.0
MAX_REPLICAS = 100
"""KEDA's defaults for `pollingInterval`, `cooldownPeriod` and `maxReplicaCount`."""


class MetricType(StrEnum):
    """How the HPA compares a metric with its target."""

    AVERAGE_VALUE = "AverageValue"
    VALUE = "Value"


class FallbackBehavior(StrEnum):
    """What `fallback.replicas` means beside the replicas that are there."""

    STATIC = "static"
    CURRENT = "currentReplicas"
    CURRENT_IF_HIGHER = "currentReplicasIfHigher"
    CURRENT_IF_LOWER = "currentReplicasIfLower"


@dataclass(frozen=True, slots=True)
class Trigger:
    """`source` is what it reads (a Redis key, a queue); it is active above `activation`."""

    name: str
    source: str
    target: float
    activation: float = 0.0
    metric_type: MetricType = MetricType.AVERAGE_VALUE


@dataclass(frozen=True, slots=True)
class Modifiers:
    """`scalingModifiers`: one metric made of all triggers."""

    formula: Formula
    target: float
    activation: float = 0.0
    metric_type: MetricType = MetricType.AVERAGE_VALUE


@dataclass(frozen=True, slots=True)
class Fallback:
    """So many replicas once more than `failure_threshold` readings in a row failed."""

    failure_threshold: int
    replicas: int
    behavior: FallbackBehavior = FallbackBehavior.STATIC

    def wanted(self, current: int) -> int:
        """How many replicas it stands for."""
        match self.behavior:
            case FallbackBehavior.STATIC:
                return self.replicas
            case FallbackBehavior.CURRENT:
                return current
            case FallbackBehavior.CURRENT_IF_HIGHER:
                return max(current, self.replicas)
            case FallbackBehavior.CURRENT_IF_LOWER:
                return min(current, self.replicas)


@dataclass(frozen=True, slots=True)
class ScaledObject:
    """The specification. `target` is the Deployment's name."""

    name: str
    target: str
    triggers: Sequence[Trigger]
    modifiers: Modifiers | None = None
    polling_s: float = POLLING_S
    cooldown_s: float = COOLDOWN_S
    initial_cooldown_s: float = 0.0
    min_replicas: int = 0
    max_replicas: int = MAX_REPLICAS
    idle_replicas: int | None = None
    fallback: Fallback | None = None
    behavior: Behavior = field(default_factory=Behavior)

    @property
    def bounds(self) -> Bounds:
        """Those of the HPA that KEDA makes: an HPA never goes to zero."""
        return Bounds(max(1, self.min_replicas), self.max_replicas)

    @property
    def fallback_works(self) -> bool:
        """Without a whole, positive target of the formula KEDA ignores the fallback silently."""
        if self.fallback is None:
            return False
        target = self.modifiers.target if self.modifiers else 1.0
        positive = self.fallback.failure_threshold >= 0 and self.fallback.replicas >= 0
        return positive and target > 0 and target == int(target)


@dataclass(frozen=True, slots=True)
class Metric:
    """What the HPA is given: `value` is None while it cannot be had."""

    value: float | None
    target: float
    type: MetricType


Readings = Mapping[str, float | None]
"""Trigger name -> its value; None where the trigger's source could not be asked."""


@dataclass(slots=True)
class Activity:
    """KEDA's memory of one ScaledObject."""

    made_at_s: float = 0.0
    last_active_s: float | None = None
    failures: dict[str, int] = field(default_factory=dict)

    def is_active(self, scaled: ScaledObject, readings: Readings) -> tuple[bool, bool]:
        """(whether there is anything to do, whether a trigger failed)."""
        failed = any(value is None for value in readings.values())
        if scaled.modifiers is None:
            active = any(
                value is not None and value > trigger.activation
                for trigger in scaled.triggers
                for value in [readings[trigger.name]]
            )
            return active, failed
        value = _composite(scaled.modifiers, readings)
        return value is not None and value > scaled.modifiers.activation, value is None

    def requested(self, scaled: ScaledObject, current: int, active: bool, failed: bool, now_s: float) -> int | None:
        """The replicas that a poll sets, or None where it leaves them to the HPA; notes when it was last active."""
        if active:
            if not current or (scaled.idle_replicas is not None and current < scaled.min_replicas):
                self.last_active_s = now_s
                return max(1, scaled.min_replicas)
            if not failed:
                self.last_active_s = now_s
            return None
        if failed and (scaled.fallback is None or scaled.fallback.replicas):
            return None
        idle = scaled.idle_replicas
        if (idle is not None and current > idle) or (current > 0 and not scaled.min_replicas):
            return (idle if idle is not None else 0) if self._cooled_down(scaled, now_s) else None
        return scaled.min_replicas if idle is None and current < scaled.min_replicas else None

    def _cooled_down(self, scaled: ScaledObject, now_s: float) -> bool:
        if self.last_active_s is None:
            return self.made_at_s + scaled.initial_cooldown_s < now_s
        return self.last_active_s + scaled.cooldown_s < now_s

    def metrics(self, scaled: ScaledObject, readings: Readings, current: int) -> list[Metric]:
        """What the HPA gets to see, the fallback included. Counts failures."""
        fallback = scaled.fallback if scaled.fallback_works else None
        fell_back = False
        for name, value in readings.items():
            self.failures[name] = 0 if value is not None else self.failures.get(name, 0) + 1
            fell_back |= fallback is not None and self.failures[name] > fallback.failure_threshold
        if scaled.modifiers is not None:
            value = _composite(scaled.modifiers, readings)
            if value is None and fell_back and fallback is not None:
                value = fallback.wanted(current) * scaled.modifiers.target
            return [Metric(value, scaled.modifiers.target, scaled.modifiers.metric_type)]
        return [self._of_trigger(trigger, readings[trigger.name], fallback, current) for trigger in scaled.triggers]

    def _of_trigger(self, trigger: Trigger, value: float | None, fallback: Fallback | None, current: int) -> Metric:
        if value is None and fallback is not None and self.failures[trigger.name] > fallback.failure_threshold:
            value = fallback.wanted(current) * trigger.target
        return Metric(value, trigger.target, trigger.metric_type)


def _composite(modifiers: Modifiers, readings: Readings) -> float | None:
    """The formula's value; None where a trigger that it needs could not be asked."""
    known = {name: value for name, value in readings.items() if value is not None}
    if not modifiers.formula.names <= known.keys():
        return None
    try:
        return modifiers.formula.value(known)
    except FormulaError:
        return None
