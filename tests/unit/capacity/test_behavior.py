"""Stabilisation and rate limits, case by case as Kubernetes' own tests have them.

Inputs and expected replicas are facts from pkg/controller/podautoscaler/horizontal_test.go of kubernetes/kubernetes:
TestScalingWithRules, TestNormalizeDesiredReplicasWithBehavior and TestStoreScaleEvents; each case names its row there.
"""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeforge.capacity.behavior import (
    DEFAULT_DOWN,
    DEFAULT_UP,
    Behavior,
    Bounds,
    Change,
    History,
    Policy,
    PolicyType,
    ScalingRules,
    SelectPolicy,
    down_limit,
    limited,
    up_limit,
    within,
)

NOW_S = 10_000.0


def rules(pods: int, pods_s: int, percent: int, percent_s: int, window_s: float = 0.0) -> ScalingRules:
    """Policies where the value is not 0, the largest change chosen."""
    policies = [Policy(PolicyType.PODS, pods, pods_s)] if pods else []
    policies += [Policy(PolicyType.PERCENT, percent, percent_s)] if percent else []
    return ScalingRules(policies, window_s)


def spread(changes: Sequence[int], period_s: float = 120.0) -> list[Change]:
    """Changes spread evenly over the last `period_s`, each in the middle of its part."""
    part_s = period_s / len(changes)
    return [Change(change, NOW_S - (period_s - part_s * (n + 0.5))) for n, change in enumerate(changes)]


UP, DOWN = "up", "down"


@pytest.mark.parametrize(
    ("case", "direction", "rule", "added", "removed", "bounds", "current", "wish", "expected"),
    [
        ("prenormalized desired replicas within range", UP, None, [], [], (3, 8), 5, 7, 7),
        ("prenormalized desired replicas < minReplicas", DOWN, None, [], [], (2, 8), 3, 1, 2),
        ("within range when minReplicas is 0", DOWN, None, [], [], (0, 10), 1, 0, 0),
        ("maxReplicas < scaleUpLimit", UP, None, [], [], (1, 10), 20, 1000, 10),
        ("more than the maximum replica count", UP, None, [], [], (100, 150), 100, 1000, 150),
        ("scaleUpLimit < maxReplicas with user policies", UP, rules(0, 0, 1, 60), [], [], (1, 2000), 3, 1000, 4),
        ("scaleDownLimit > minReplicas", DOWN, rules(20, 60, 0, 0), [], [], (3, 2000), 1000, 3, 980),
        ("scaleUp with default behavior", UP, None, [], [], (1, 1000), 10, 50, 20),
        ("pods policy larger than percent policy", UP, rules(100, 60, 100, 60), [], [], (1, 1000), 10, 500, 110),
        ("percent policy larger than pods policy", UP, rules(2, 60, 100, 60), [], [], (1, 1000), 10, 500, 20),
        ("MaxReplicas with large pod policy", UP, rules(100, 60, 0, 0), [], [], (1, 1000), 10, 50, 50),
        ("MaxReplicas with large percent policy", UP, rules(10000, 60, 0, 0), [], [], (1, 1000), 10, 50, 50),
        ("scaleUp with pod policy limitation", UP, rules(30, 60, 0, 0), [], [], (1, 1000), 10, 50, 40),
        ("scaleUp with percent policy limitation", UP, rules(0, 0, 200, 60), [], [], (1, 1000), 10, 50, 30),
        ("percent policy larger than pod policy, down", DOWN, rules(20, 60, 1, 60), [], [], (1, 1000), 100, 2, 80),
        ("pod policy larger than percent policy, down", DOWN, rules(2, 60, 1, 60), [], [], (1, 1000), 100, 2, 98),
        ("MinReplicas with large pod policy", DOWN, rules(100, 60, 0, 0), [], [], (1, 1000), 10, 0, 1),
        ("MinReplicas with large percent policy", DOWN, rules(0, 0, 100, 60), [], [], (5, 1000), 10, 2, 5),
        ("scaleDown with pod policy limitation", DOWN, rules(5, 60, 0, 0), [], [], (1, 1000), 10, 2, 5),
        ("scaleDown with percent policy limitation", DOWN, rules(0, 0, 50, 60), [], [], (1, 1000), 10, 5, 5),
        ("large pod policy and events", UP, rules(300, 60, 0, 0), [1, 5, 9], [], (1, 200), 100, 500, 200),
        ("large percent policy and events", UP, rules(0, 0, 10000, 60), [1, 5, 9], [], (1, 200), 100, 500, 200),
        ("a lot of recent scale up events", UP, rules(5, 120, 0, 0), [1, 5, 9], [], (1, 1000), 100, 500, 100),
        ("pod policy and previous events", UP, rules(150, 120, 0, 0), [1, 5, 9], [], (1, 1000), 100, 500, 235),
        ("percent policy and previous events", UP, rules(0, 0, 200, 120), [1, 5, 9], [], (1, 1000), 100, 500, 255),
        ("previous scale up and down events", UP, rules(0, 0, 300, 300), [4], [2], (1, 1000), 6, 24, 16),
        ("default policy and previous events", DOWN, None, [], [1, 5, 9], (1, 1000), 10, 5, 5),
        ("MinReplicas=nil, events", DOWN, rules(115, 120, 0, 0), [], [1, 5, 9], (1, 1000), 100, 0, 1),
        ("MinReplicas, pods, events", DOWN, rules(130, 120, 0, 0), [], [1, 5, 9], (5, 1000), 100, 0, 5),
        ("MinReplicas, percent, events", DOWN, rules(0, 0, 100, 120), [], [1, 5, 9], (5, 1000), 100, 2, 5),
        ("pod limitation and events", DOWN, rules(5, 120, 0, 0), [], [1, 5, 9], (1, 1000), 100, 2, 100),
        ("percent limitation and events", DOWN, rules(0, 0, 50, 120), [], [2, 4, 6], (1, 1000), 100, 0, 56),
        ("percent and up and down events", DOWN, rules(0, 0, 50, 180), [2], [4], (1, 1000), 10, 1, 6),
        ("events preventing further scale down", DOWN, rules(0, 0, 10, 120), [], [10, 10, 10], (1, 1000), 100, 0, 100),
        ("events still allowing more scale down", DOWN, rules(0, 0, 1000, 120), [], [10, 10, 10], (1, 1000), 10, 5, 5),
        ("'outdated' for one behavior for up", UP, rules(1000, 60, 0, 0), [8, 12, 9, 11], [], (1, 1000), 100, 200, 200),
    ],
)
def test_limits_of_a_step(
    case: str,
    direction: str,
    rule: ScalingRules | None,
    added: list[int],
    removed: list[int],
    bounds: tuple[int, int],
    current: int,
    wish: int,
    expected: int,
) -> None:
    up = rule if rule is not None and direction == UP else DEFAULT_UP
    down = rule if rule is not None and direction == DOWN else DEFAULT_DOWN
    history = History(added=spread(added) if added else [], removed=spread(removed) if removed else [])
    assert limited(current, wish, Bounds(*bounds), Behavior(up, down), history, NOW_S) == expected, case


def test_the_smallest_of_two_scale_down_policies() -> None:
    """TestScaleDownWithScalingRules... with `selectPolicy: Min`: of two pods or a half, of 5, 3 stay."""
    both = ScalingRules([Policy(PolicyType.PODS, 2, 60), Policy(PolicyType.PERCENT, 50, 60)], 300.0, SelectPolicy.MIN)
    assert down_limit(5, History(), both, NOW_S) == 3


def test_disabled_keeps_the_number() -> None:
    """kubernetes.io: `selectPolicy: Disabled` turns scaling off in that direction."""
    off = ScalingRules([Policy(PolicyType.PODS, 5, 60)], 0.0, SelectPolicy.DISABLED)
    assert up_limit(5, History(), off, NOW_S) == 5
    assert down_limit(5, History(), off, NOW_S) == 5


@pytest.mark.parametrize(
    ("case", "wishes", "current", "wish", "up_s", "down_s", "expected"),
    [
        ("empty recommendations for scaling down", [], 100, 5, 0, 0, 5),
        ("simple scale down stabilization", [(4, 120), (5, 60)], 100, 3, 0, 180, 5),
        ("simple scale up stabilization", [(4, 120), (5, 60)], 1, 7, 300, 0, 4),
        ("no scale down stabilization", [(1, 120), (2, 60)], 100, 3, 300, 0, 3),
        ("no scale up stabilization", [(4, 120), (5, 60)], 1, 3, 0, 300, 3),
        ("no scale down stabilization, reuse", [(10, 600), (9, 540)], 100, 3, 0, 0, 3),
        ("no scale up stabilization, reuse", [(10, 600), (9, 540)], 1, 100, 0, 0, 100),
        ("scale down stabilization, reuse", [(10, 600), (4, 60), (5, 120), (9, 540)], 100, 3, 0, 180, 5),
        ("scale up stabilization, reuse", [(10, 6000), (6, 60), (5, 120), (9, 180)], 1, 100, 300, 0, 5),
        ("do not scale up when the wish goes down", [(2, 6000), (3, 180)], 2, 1, 300, 300, 2),
        ("do not scale down when the wish goes up", [(2, 6000), (1, 180)], 2, 3, 300, 300, 2),
    ],
)
def test_stabilisation(
    case: str, wishes: list[tuple[int, int]], current: int, wish: int, up_s: int, down_s: int, expected: int
) -> None:
    history = History(wishes=[Change(past, NOW_S - age_s) for past, age_s in wishes])
    behavior = Behavior(ScalingRules((), up_s), ScalingRules((), down_s))
    assert history.stabilized(current, wish, behavior, NOW_S) == expected, case


@pytest.mark.parametrize(
    ("case", "events", "expected"),
    [
        ("one outdated entry to be replaced with behavior", [(7, 61)], 0),
        ("one actual entry to be not touched with behavior", [(7, 58)], 7),
        ("two entries, one of them to be replaced", [(7, 61), (6, 59)], 6),
        ("replace one entry, use policies with different periods", [(8, 29), (6, 59), (7, 61), (9, 61)], 14),
        ("two entries, both actual", [(7, 58), (6, 59)], 13),
    ],
)
def test_changes_of_a_period(case: str, events: list[tuple[int, int]], expected: int) -> None:
    assert within([Change(change, NOW_S - age_s) for change, age_s in events], 60, NOW_S) == expected, case


policies = st.lists(
    st.builds(Policy, st.sampled_from(PolicyType), st.integers(1, 200), st.integers(1, 600)), min_size=1, max_size=3
)
directions = st.builds(ScalingRules, policies, st.integers(0, 600), st.sampled_from(SelectPolicy))


@given(
    behavior=st.builds(Behavior, directions, directions),
    least=st.integers(0, 5),
    room=st.integers(0, 100),
    wishes=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 120)), min_size=1, max_size=40),
)
def test_no_step_leaves_the_bounds_or_turns_against_the_wishes(
    behavior: Behavior, least: int, room: int, wishes: list[tuple[int, int]]
) -> None:
    bounds, history, current, now_s = Bounds(least, least + room), History(), least, 0.0
    for wish, pause_s in wishes:
        now_s += pause_s
        stable = history.stabilized(current, wish, behavior, now_s)
        after = limited(current, stable, bounds, behavior, history, now_s)
        assert bounds.least <= after <= bounds.most
        assert not (after > current and wish < current)
        assert not (after < current and wish > current)
        history.record(current, after, behavior, now_s)
        current = after
