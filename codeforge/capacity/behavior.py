"""What an HPA's `behavior` makes of a wish: stabilisation windows, then rate limits, then the bounds.

Source: kubernetes.io, "Horizontal Pod Autoscaling", "Configurable scaling behavior"; in particulars Kubernetes'
controller (pkg/controller/podautoscaler/horizontal.go) and the tables of its horizontal_test.go.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

DOWNSCALE_STABILIZATION_S = 300.0
"""Default of kube-controller-manager's `--horizontal-pod-autoscaler-downscale-stabilization`."""

UNBOUNDED = 2**31 - 1


class PolicyType(StrEnum):
    """What a policy's value counts."""

    PODS = "Pods"
    PERCENT = "Percent"


class SelectPolicy(StrEnum):
    """Which of several policies holds: the largest change, the smallest, or none at all."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True)
class Policy:
    """At most `value` pods, or percent of them, in any `period_s` seconds."""

    type: PolicyType
    value: int
    period_s: int


@dataclass(frozen=True, slots=True)
class ScalingRules:
    """`scaleUp` or `scaleDown`."""

    policies: Sequence[Policy]
    window_s: float
    select: SelectPolicy = SelectPolicy.MAX


DEFAULT_UP = ScalingRules((Policy(PolicyType.PODS, 4, 15), Policy(PolicyType.PERCENT, 100, 15)), 0.0)
DEFAULT_DOWN = ScalingRules((Policy(PolicyType.PERCENT, 100, 15),), DOWNSCALE_STABILIZATION_S)


@dataclass(frozen=True, slots=True)
class Behavior:
    """Both directions; the defaults are Kubernetes' own."""

    up: ScalingRules = DEFAULT_UP
    down: ScalingRules = DEFAULT_DOWN


@dataclass(frozen=True, slots=True)
class Change:
    """So many replicas more, or fewer, at that time."""

    replicas: int
    at_s: float


@dataclass(slots=True)
class History:
    """What the controller remembers of one HPA: its wishes, and the changes that it made."""

    wishes: list[Change] = field(default_factory=list)
    added: list[Change] = field(default_factory=list)
    removed: list[Change] = field(default_factory=list)

    def stabilized(self, current: int, wish: int, behavior: Behavior, now_s: float) -> int:
        """The current number, moved only as far as every wish of the direction's window agrees; remembers this wish."""
        least = min([wish, *self._since(now_s - behavior.up.window_s)])
        most = max([wish, *self._since(now_s - behavior.down.window_s)])
        answer = min(max(current, least), most)
        longest = max(behavior.up.window_s, behavior.down.window_s)
        self.wishes = [past for past in self.wishes if past.at_s >= now_s - longest]
        self.wishes.append(Change(wish, now_s))
        return answer

    def _since(self, cutoff_s: float) -> list[int]:
        return [past.replicas for past in self.wishes if past.at_s > cutoff_s]

    def record(self, before: int, after: int, behavior: Behavior, now_s: float) -> None:
        """Remembers a change that was made, for as long as a policy asks for it."""
        longest = max((p.period_s for p in (*behavior.up.policies, *behavior.down.policies)), default=0)
        for changes in (self.added, self.removed):
            changes[:] = [past for past in changes if past.at_s >= now_s - longest]
        if after > before:
            self.added.append(Change(after - before, now_s))
        elif after < before:
            self.removed.append(Change(before - after, now_s))


def within(changes: Sequence[Change], period_s: float, now_s: float) -> int:
    """By how many replicas the changes of the last `period_s` seconds add up."""
    return sum(change.replicas for change in changes if change.at_s > now_s - period_s)


def up_limit(current: int, history: History, rules: ScalingRules, now_s: float) -> int:
    """Up to how many replicas the policies let it grow now."""
    if rules.select is SelectPolicy.DISABLED:
        return current
    limits = []
    for policy in rules.policies:
        start = _period_start(current, history, policy, now_s)
        # Rounded up, or one pod could never become two.
        grown = (
            start + policy.value if policy.type is PolicyType.PODS else math.ceil(start * (100 + policy.value) / 100)
        )
        limits.append(grown)
    limit = (min if rules.select is SelectPolicy.MIN else max)(limits, default=UNBOUNDED)
    return max(current, limit)


def down_limit(current: int, history: History, rules: ScalingRules, now_s: float) -> int:
    """Down to how many replicas the policies let it shrink now."""
    if rules.select is SelectPolicy.DISABLED:
        return current
    limits = []
    for policy in rules.policies:
        start = _period_start(current, history, policy, now_s)
        shrunk = start - policy.value if policy.type is PolicyType.PODS else int(start * (100 - policy.value) / 100)
        limits.append(shrunk)
    # The smallest change leaves the most replicas.
    limit = (max if rules.select is SelectPolicy.MIN else min)(limits, default=0)
    return min(current, limit)


def _period_start(current: int, history: History, policy: Policy, now_s: float) -> int:
    added = within(history.added, policy.period_s, now_s)
    return current - added + within(history.removed, policy.period_s, now_s)


@dataclass(frozen=True, slots=True)
class Bounds:
    """`minReplicas` and `maxReplicas`."""

    least: int
    most: int


def limited(current: int, wish: int, bounds: Bounds, behavior: Behavior, history: History, now_s: float) -> int:
    """The stabilised wish, within the policies' limits and the bounds."""
    if wish > current:
        return min(wish, bounds.most, up_limit(current, history, behavior.up, now_s))
    if wish < current:
        return max(wish, bounds.least, down_limit(current, history, behavior.down, now_s))
    return wish
