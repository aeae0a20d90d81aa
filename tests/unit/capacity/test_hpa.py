"""The HPA's replica count, case by case as Kubernetes' own tests have it.

Inputs and expected replicas are facts from pkg/controller/podautoscaler/replica_calculator_test.go of
kubernetes/kubernetes; each case names the test there that it follows, without its prefix `TestReplicaCalc`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from codeforge.capacity.hpa import (
    Clock,
    NoMetrics,
    Phase,
    PodMetric,
    PodStatus,
    average_replicas,
    group_pods,
    per_pod_replicas,
    strongest,
    utilization_replicas,
    value_replicas,
)

NOW_S = 10_000.0
CLOCK = Clock(now_s=NOW_S, cpu_initialization_s=120.0, initial_readiness_s=10.0)
OLD_S = NOW_S - 3_600.0
COOL_S = NOW_S - 180.0
HOT_S = NOW_S - 60.0
CORE = 1000.0

YES, NO = True, False


@dataclass(frozen=True)
class Pods:
    """Pods in order; what is shorter than `count` is the default for the rest."""

    count: int
    ready: Sequence[bool] = ()
    phases: Sequence[Phase] = ()
    deleted: Sequence[bool] = ()
    started: Sequence[float] = ()
    requests: Sequence[float] = ()

    def statuses(self) -> list[PodStatus]:
        def nth(values: Sequence[Any], number: int, default: Any) -> Any:
            return values[number] if number < len(values) else default

        return [
            PodStatus(
                f"pod-{number}",
                request=nth(self.requests, number, CORE),
                ready=nth(self.ready, number, True),
                phase=nth(self.phases, number, Phase.RUNNING),
                deleted=nth(self.deleted, number, False),
                started_at_s=nth(self.started, number, OLD_S),
                ready_changed_at_s=nth(self.started, number, OLD_S),
            )
            for number in range(self.count)
        ]


def levels(*values: float | None) -> dict[str, PodMetric]:
    """Metrics of the pods in order; None is missing. Those of hot pods were measured before their window was full."""
    return {
        f"pod-{number}": PodMetric(value, at_s=NOW_S - 61.0, window_s=60.0)
        for number, value in enumerate(values)
        if value is not None
    }


RUN, PEND, FAIL = Phase.RUNNING, Phase.PENDING, Phase.FAILED


@pytest.mark.parametrize(
    ("case", "current", "target", "pods", "metrics", "expected"),
    [
        ("ScaleUp", 3, 30, Pods(3), levels(300, 500, 700), 5),
        ("ScaleUpUnreadyLessScale", 3, 30, Pods(3, ready=[NO, YES, YES]), levels(300, 500, 700), 4),
        ("ScaleUpHotCpuLessScale", 3, 30, Pods(3, started=[HOT_S, COOL_S, COOL_S]), levels(300, 500, 700), 4),
        ("ScaleUpUnreadyNoScale", 3, 30, Pods(3, ready=[YES, NO, NO]), levels(400, 500, 700), 3),
        (
            "ScaleHotCpuNoScale",
            3,
            30,
            Pods(3, ready=[YES, NO, NO], started=[COOL_S, HOT_S, HOT_S]),
            levels(400, 500, 700),
            3,
        ),
        (
            "ScaleUpIgnoresFailedPods",
            2,
            30,
            Pods(4, ready=[YES, YES, NO, NO], phases=[RUN, RUN, FAIL, FAIL]),
            levels(500, 700),
            4,
        ),
        (
            "ScaleUpIgnoresDeletionPods",
            2,
            30,
            Pods(4, ready=[YES, YES, NO, NO], deleted=[NO, NO, YES, YES]),
            levels(500, 700),
            4,
        ),
        ("ScaleDown", 5, 50, Pods(5), levels(100, 300, 500, 250, 250), 3),
        (
            "ScaleDownIncludeUnreadyPods",
            5,
            50,
            Pods(5, ready=[YES, YES, YES, NO, NO]),
            levels(100, 300, 500, 250, 250),
            2,
        ),
        (
            "ScaleDownExcludeUnscheduledPods",
            5,
            50,
            Pods(5, ready=[YES, NO, NO, NO, NO], phases=[RUN, PEND, PEND, PEND, PEND]),
            levels(100),
            1,
        ),
        (
            "ScaleDownIgnoreHotCpuPods",
            5,
            50,
            Pods(5, started=[COOL_S, COOL_S, COOL_S, HOT_S, HOT_S]),
            levels(100, 300, 500, 250, 250),
            2,
        ),
        (
            "ScaleDownIgnoresFailedPods",
            5,
            50,
            Pods(7, ready=[YES] * 5 + [NO, NO], phases=[RUN] * 5 + [FAIL, FAIL]),
            levels(100, 300, 500, 250, 250),
            3,
        ),
        (
            "ScaleDownIgnoresDeletionPods",
            5,
            50,
            Pods(7, ready=[YES] * 5 + [NO, NO], deleted=[NO] * 5 + [YES, YES]),
            levels(100, 300, 500, 250, 250),
            3,
        ),
        ("Tolerance", 3, 100, Pods(3, requests=[900, 1000, 1100]), levels(1010, 1030, 1020), 3),
        ("SuperfluousMetrics", 4, 100, Pods(4), levels(4000, 9500, 3000, 7000, 3200, 2000), 24),
        ("MissingMetrics", 4, 100, Pods(4), levels(400, 95), 3),
        ("MissingMetricsNoChangeEq", 2, 100, Pods(2), levels(1000), 2),
        ("MissingMetricsNoChangeGt", 2, 100, Pods(2), levels(1900), 2),
        ("MissingMetricsNoChangeLt", 2, 100, Pods(2), levels(600), 2),
        ("MissingMetricsUnreadyChange", 3, 50, Pods(3, ready=[NO, YES, YES]), levels(100, 450), 3),
        ("MissingMetricsHotCpuNoChange", 3, 50, Pods(3, started=[HOT_S, COOL_S, COOL_S]), levels(100, 450), 3),
        ("MissingMetricsUnreadyScaleUp", 3, 50, Pods(3, ready=[NO, YES, YES]), levels(100, 2000), 4),
        (
            "MissingMetricsHotCpuScaleUp",
            3,
            50,
            Pods(3, ready=[NO, YES, YES], started=[HOT_S, COOL_S, COOL_S]),
            levels(100, 2000),
            4,
        ),
        ("MissingMetricsUnreadyScaleDown", 4, 50, Pods(4, ready=[NO, YES, YES, YES]), levels(100, 100, 100), 3),
        ("DuringRollingUpdateWithMaxSurge", 2, 50, Pods(3), levels(100, 100), 2),
        # Ten pods that use half of what they request: 56% is just beyond the tolerance, 55% just within.
        (
            "ComputedToleranceAlgImplementation, scaling",
            10,
            56,
            Pods(10, requests=[400, 200, 310, 290, 302, 298, 301, 299, 300, 300]),
            levels(*[150.0] * 10),
            9,
        ),
        (
            "ComputedToleranceAlgImplementation, not scaling",
            10,
            55,
            Pods(10, requests=[400, 200, 310, 290, 302, 298, 301, 299, 300, 300]),
            levels(*[150.0] * 10),
            10,
        ),
    ],
)
def test_by_the_use_of_a_resource(
    case: str, current: int, target: int, pods: Pods, metrics: dict[str, PodMetric], expected: int
) -> None:
    assert utilization_replicas(current, target, pods.statuses(), metrics, CLOCK) == expected, case


@pytest.mark.parametrize(
    ("case", "pods", "metrics", "reason"),
    [
        ("DisjointResourcesMetrics", Pods(1), {"an-older-pod-name": PodMetric(100)}, "no metrics returned matched"),
        ("EmptyMetrics", Pods(4), {}, "no metrics"),
        ("EmptyCPURequest", Pods(1, requests=[0.0]), levels(200), "missing request"),
    ],
)
def test_without_metrics_there_is_no_wish(case: str, pods: Pods, metrics: dict[str, PodMetric], reason: str) -> None:
    with pytest.raises(NoMetrics, match=reason):
        utilization_replicas(pods.count, 100, pods.statuses(), metrics, CLOCK)


@pytest.mark.parametrize(
    ("case", "current", "target", "pods", "metrics", "expected"),
    [
        ("ScaleUpCM", 3, 15_000, Pods(3), levels(20_000, 10_000, 30_000), 4),
        (
            "ScaleUpCMUnreadyHotCpuNoLessScale",
            3,
            15_000,
            Pods(3, ready=[YES, YES, NO], started=[COOL_S, COOL_S, HOT_S]),
            levels(50_000, 10_000, 30_000),
            6,
        ),
        (
            "ScaleUpCMUnreadyHotCpuScaleWouldScaleDown",
            3,
            15_000,
            Pods(3, ready=[NO, YES, NO], started=[HOT_S, COOL_S, HOT_S]),
            levels(50_000, 15_000, 30_000),
            7,
        ),
        ("ScaleUpCMExternal", 1, 4_400, Pods(1), levels(8_600), 2),
        ("ScaleDownCM", 5, 20_000, Pods(5), levels(*[12_000.0] * 5), 3),
        ("ToleranceCM", 3, 20_000, Pods(3), levels(20_000, 21_000, 21_000), 3),
    ],
)
def test_by_a_metric_of_the_pods(
    case: str, current: int, target: float, pods: Pods, metrics: dict[str, PodMetric], expected: int
) -> None:
    assert average_replicas(current, target, pods.statuses(), metrics, CLOCK) == expected, case


@pytest.mark.parametrize(
    ("case", "current", "total", "target", "expected"),
    [
        ("ScaleUpCMPerPodObject", 3, 20_000, 5_000, 4),
        ("ScaleUpPerPodCMExternal", 3, 8_600, 2_150, 4),
        ("ScaleDownPerPodCMObject", 5, 6_000, 2_000, 3),
        ("ScaleDownPerPodCMExternal", 5, 8_600, 2_867, 3),
        ("TolerancePerPodCMObject", 4, 20_166, 5_000, 4),
        ("TolerancePerPodCMExternal", 3, 8_600, 2_900, 3),
    ],
)
def test_by_a_metric_that_the_pods_share(case: str, current: int, total: float, target: float, expected: int) -> None:
    assert per_pod_replicas(current, total, target) == expected, case


@pytest.mark.parametrize(
    ("case", "current", "value", "target", "ready", "expected"),
    [
        ("ScaleUpCMObject", 3, 20_000, 15_000, 3, 4),
        ("ScaleUpCMObjectIgnoresUnreadyPods", 3, 50_000, 10_000, 1, 5),
        ("ScaleUpCMExternalIgnoresUnreadyPods", 3, 8_600, 4_400, 1, 2),
        ("ScaleDownCMObject", 5, 12_000, 20_000, 5, 3),
        ("ScaleDownCMExternal", 5, 8_600, 14_334, 5, 3),
        ("ToleranceCMObject", 3, 20_666, 20_000, 3, 3),
        ("ToleranceCMExternal", 3, 8_600, 8_888, 3, 3),
    ],
)
def test_by_a_value_from_outside(
    case: str, current: int, value: float, target: float, ready: int, expected: int
) -> None:
    assert value_replicas(current, value, target, ready) == expected, case


def test_pods_that_ended_or_wait_for_a_node_are_told_from_those_without_metrics() -> None:
    """GroupPods: void, count in a ready pod, ignore pods that are pending, missing, deleted or failed."""
    statuses = Pods(5, phases=[RUN, PEND, RUN, FAIL, RUN], deleted=[NO, NO, NO, NO, YES]).statuses()
    groups = group_pods(statuses, levels(1, 1, None, 1, 1), CLOCK, cpu=False)
    assert (groups.ready, groups.ignored, groups.missing) == (1, frozenset({"pod-1"}), frozenset({"pod-2"}))
    empty = group_pods([], {}, CLOCK, cpu=True)
    assert (empty.ready, empty.ignored, empty.missing) == (0, frozenset(), frozenset())


@pytest.mark.parametrize(
    ("case", "current", "wanted", "expected"),
    [
        ("TestScaleUpOneMetricEmpty", 3, [None, 4], 4),
        ("TestNoScaleDownOneMetricEmpty", 5, [None, 3], None),
        ("TestNoScaleDownOneMetricInvalid", 5, [3, None], None),
        ("TestNoBackoffUpscaleCMNoBackoffCpu", 3, [4, 60], 60),
        ("TestConditionFailedGetMetrics", 3, [None], None),
    ],
)
def test_the_strongest_metric_wins_and_an_unknown_one_forbids_a_scale_in(
    case: str, current: int, wanted: list[int | None], expected: int | None
) -> None:
    """horizontal_test.go of the same package."""
    assert strongest(current, wanted) == expected, case
