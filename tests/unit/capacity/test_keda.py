"""KEDA's part, case by case as its own tests have it.

Inputs and expected replicas are facts from kedacore/keda: pkg/scaling/executor/scale_scaledobjects_test.go,
pkg/fallback/fallback_test.go and pkg/scaling/modifiers/formula_test.go; each case names the test there.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeforge.capacity.formula import Formula, FormulaError
from codeforge.capacity.keda import (
    Activity,
    Fallback,
    FallbackBehavior,
    MetricType,
    Modifiers,
    ScaledObject,
    Trigger,
)

ONE = [Trigger("a", "list-a", 10.0)]
TWO = [Trigger("trigger1", "list-1", 10.0), Trigger("trigger2", "list-2", 10.0)]
HIGHER = FallbackBehavior.CURRENT_IF_HIGHER
LOWER = FallbackBehavior.CURRENT_IF_LOWER


def scaled(least: int = 0, idle: int | None = None, fallback: Fallback | None = None) -> ScaledObject:
    return ScaledObject("w", "w", ONE, min_replicas=least, idle_replicas=idle, fallback=fallback, cooldown_s=300.0)


@pytest.mark.parametrize(
    ("case", "what", "current", "active", "failed", "expected"),
    [
        ("TestScaleToMinReplicasWhenNotActive", scaled(0), 10, False, False, 0),
        ("TestScaleToMinReplicasFromLowerInitialReplicaCount", scaled(5), 1, False, False, 5),
        ("TestScaleFromMinReplicasWhenActive", scaled(0), 0, True, False, 1),
        ("TestScaleToIdleReplicasWhenNotActive", scaled(5, idle=0), 10, False, False, 0),
        ("TestScaleFromIdleToMinReplicasWhenActive", scaled(5, idle=0), 0, True, False, 5),
        ("TestEventWitTriggerInfo", scaled(5, idle=0), 2, True, False, 5),
        ("TestRequestScale_AllHealthy_HPAHealthy", scaled(1), 1, True, False, None),
        ("TestRequestScale_ScalerError_HPAHealthy", scaled(1), 1, False, True, None),
        ("TestRequestScale_PartialError_HPAHealthy", scaled(1), 1, True, True, None),
        ("TestRequestScale_ScalerErrorWithFallback", scaled(1, fallback=Fallback(3, 10)), 1, False, True, None),
        # The comment in scale_scaledobjects.go: with a fallback, an error never goes to zero.
        ("error, fallback, minReplicas zero", scaled(0, fallback=Fallback(3, 10)), 4, False, True, None),
    ],
)
def test_between_none_and_some(
    case: str, what: ScaledObject, current: int, active: bool, failed: bool, expected: int | None
) -> None:
    assert Activity(made_at_s=-1.0).requested(what, current, active, failed, 0.0) == expected, case


def test_zero_comes_a_cooldown_after_the_last_activity() -> None:
    """keda.sh: `cooldownPeriod` is the time after the last trigger reported active."""
    activity, what = Activity(), scaled(0)
    assert activity.requested(what, 1, True, False, 100.0) is None
    assert activity.requested(what, 1, False, False, 400.0) is None
    assert activity.requested(what, 1, False, False, 400.1) == 0


@pytest.mark.parametrize(
    ("case", "fallback", "failures", "current", "value", "expected"),
    [
        ("the expected metric when fallback is disabled", None, 0, 3, 5.0, 5.0),
        ("propagate the error when fallback is disabled", None, 0, 3, None, None),
        ("bump the number of failures when metrics call fails", Fallback(3, 10), 0, 3, None, None),
        ("a normalised metric when failures are beyond threshold", Fallback(3, 10), 3, 3, None, 100.0),
        ("reset the health status when metrics are available", Fallback(3, 10), 5, 3, 6.0, 6.0),
        ("an error when the parameter is invalid", Fallback(-3, 10), 3, 3, None, None),
        (
            "fallback replicas when current is lower, currentReplicasIfHigher",
            Fallback(3, 10, HIGHER),
            3,
            6,
            None,
            100.0,
        ),
        ("current replicas, currentReplicas", Fallback(3, 10, FallbackBehavior.CURRENT), 3, 6, None, 60.0),
        ("ignore current replicas, static", Fallback(3, 10, FallbackBehavior.STATIC), 3, 15, None, 100.0),
        ("the lower of both, currentReplicasIfLower", Fallback(3, 10, LOWER), 3, 6, None, 60.0),
    ],
)
def test_fallback(
    case: str, fallback: Fallback | None, failures: int, current: int, value: float | None, expected: float | None
) -> None:
    activity = Activity(failures={"a": failures})
    (metric,) = activity.metrics(scaled(fallback=fallback), {"a": value}, current)
    assert metric.value == expected, case
    assert activity.failures["a"] == (0 if value is not None else failures + 1)


def modified(formula: str, target: float, fallback: Fallback | None = None) -> ScaledObject:
    return ScaledObject("w", "w", TWO, modifiers=Modifiers(Formula(formula), target), fallback=fallback)


def test_the_formula_makes_one_metric_of_two_triggers() -> None:
    """TestCalculateScalingModifiersFormula: 2 and 5 are 7."""
    (metric,) = Activity().metrics(modified("trigger1 + trigger2", 2.0), {"trigger1": 2.0, "trigger2": 5.0}, 1)
    assert (metric.value, metric.target, metric.type) == (7.0, 2.0, MetricType.AVERAGE_VALUE)


def test_the_formulas_fallback_is_replicas_times_target() -> None:
    """TestCalculateScalingModifiersFormulaFallbackReplicas: 7 replicas at a target of 2 are 14."""
    activity = Activity(failures={"trigger1": 5, "trigger2": 5})
    what = modified("trigger1 + trigger2", 2.0, Fallback(3, 7))
    (metric,) = activity.metrics(what, {"trigger1": None, "trigger2": None}, 1)
    assert metric.value == 14.0


def test_a_fractional_target_disables_the_fallback() -> None:
    """HasValidFallback in fallback.go: the target must be a whole number above 0."""
    assert not modified("trigger1", 2.5, Fallback(3, 7)).fallback_works
    assert modified("trigger1", 2.0, Fallback(3, 7)).fallback_works


@pytest.mark.parametrize(("value", "active"), [(0.0, False), (1.0, True)])
def test_it_is_active_above_the_activation_of_the_formula(value: float, active: bool) -> None:
    what = modified("trigger1 + trigger2", 10.0)
    assert Activity().is_active(what, {"trigger1": value, "trigger2": 0.0}) == (active, False)
    assert Activity().is_active(what, {"trigger1": value, "trigger2": None}) == (False, True)


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("a + b", 5.0),
        ("a * 2 - b / 3", 3.0),
        ("max(a, b, 1)", 3.0),
        ("a > b ? a : b", 3.0),
        ("-(a + b) % 7", -5.0 % 7),
        ("ceil(b / a)", 2.0),
    ],
)
def test_formulas(formula: str, value: float) -> None:
    assert Formula(formula).value({"a": 2.0, "b": 3.0}) == pytest.approx(value)


@pytest.mark.parametrize("formula", ["a +", "a.b", "open('x')", "[a]", "'a'", "a if", "x" * 1001, "lambda: 1"])
def test_what_is_no_formula_says_so(formula: str) -> None:
    with pytest.raises(FormulaError):
        Formula(formula)


@given(
    least=st.integers(0, 5),
    room=st.integers(0, 50),
    polls=st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=40),
)
def test_a_poll_never_asks_for_less_than_the_least_or_more_than_the_most(
    least: int, room: int, polls: list[tuple[int, bool]]
) -> None:
    what = ScaledObject("w", "w", ONE, min_replicas=least, max_replicas=max(1, least + room))
    activity, current = Activity(), least
    for number, (load, failed) in enumerate(polls):
        readings = {"a": None if failed else float(load)}
        active, error = activity.is_active(what, readings)
        wanted = activity.requested(what, current, active, error, number * 200.0)
        current = current if wanted is None else wanted
        assert least <= current <= what.max_replicas
