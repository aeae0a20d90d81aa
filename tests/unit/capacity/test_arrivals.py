"""Traces and durations."""

import random
from itertools import pairwise
from pathlib import Path

import pytest

from codeforge.capacity.arrivals import make_trace
from codeforge.capacity.distributions import parse_distribution
from codeforge.errors import CapacityError
from codeforge.worker_types import WorkerType

DURATIONS = {each: parse_distribution("fixed:60") for each in WorkerType}
MIX = {WorkerType.CODING: 3.0, WorkerType.SCRAPE: 1.0}


def test_a_burst_comes_at_once_in_the_mix_that_was_asked_for() -> None:
    trace = make_trace("burst:tasks=4000,at=60", MIX, DURATIONS, 0)
    assert trace.burst
    assert {arrival.at_s for arrival in trace.arrivals} == {60.0}
    coding = sum(arrival.type is WorkerType.CODING for arrival in trace.arrivals)
    assert coding == pytest.approx(3000, rel=0.05)


def test_poisson_has_its_rate_and_its_spread() -> None:
    trace = make_trace("poisson:rate=5,seconds=2000", MIX, DURATIONS, 0)
    times = [arrival.at_s for arrival in trace.arrivals]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    assert len(times) == pytest.approx(10_000, rel=0.05)
    assert sum((gap - mean) ** 2 for gap in gaps) / len(gaps) == pytest.approx(mean**2, rel=0.1)


def test_a_days_noon_is_ten_times_its_midnight() -> None:
    trace = make_trace("day:tasks=200000,peak=10", MIX, DURATIONS, 0)
    hour = [0] * 24
    for arrival in trace.arrivals:
        hour[int(arrival.at_s // 3600)] += 1
    assert (hour[11] + hour[12]) / (hour[0] + hour[23]) == pytest.approx(10, rel=0.08)
    assert trace.length_s == 86_400


def test_the_same_seed_gives_the_same_trace() -> None:
    first = make_trace("poisson:rate=1,seconds=100", MIX, DURATIONS, 1)
    assert first == make_trace("poisson:rate=1,seconds=100", MIX, DURATIONS, 1)
    assert first != make_trace("poisson:rate=1,seconds=100", MIX, DURATIONS, 2)


def test_a_csv_in_any_order_with_and_without_durations(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("at_s,type,duration_s\n9,coding,5\n3.5,scrape,\n")
    arrivals = make_trace(f"csv:{path}", MIX, DURATIONS, 0).arrivals
    assert [(each.at_s, each.type, each.work_s) for each in arrivals] == [(3.5, "scrape", 60.0), (9.0, "coding", 5.0)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("type\ncoding\n", "the column at_s is missing"),
        ("at_s,type\n1,bakery\n", "line 2: type: there is no 'bakery'"),
        ("at_s,type\n1,coding\nsoon,coding\n", "line 3: at_s must be a number of 0 or more, not 'soon'"),
        ("at_s,type,duration_s\n1,coding,-1\n", "line 2: duration_s must be a number of 0 or more, not '-1'"),
        ("at_s,type\n", "makes 0 tasks"),
    ],
)
def test_what_is_wrong_in_a_csv_is_named(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(content)
    with pytest.raises(CapacityError) as caught:
        make_trace(f"csv:{path}", MIX, DURATIONS, 0)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("flood:tasks=1", "'flood' is no kind of trace"),
        ("burst", "tasks is missing"),
        ("burst:tasks=many", "tasks must be a number, not 'many'"),
        ("burst:tasks=0", "makes 0 tasks"),
        ("burst:tasks=inf", "tasks must be 0 or more"),
        ("burst:tasks=5,rate=1", "there is no 'rate'"),
        ("poisson:rate=1000000,seconds=1000000", "can be simulated"),
        ("day:tasks=10,peak=0.5", "peak must be 1 or more"),
        ("csv:nowhere.csv", "No such file"),
    ],
)
def test_what_is_wrong_in_a_trace_is_named(text: str, says: str) -> None:
    with pytest.raises(CapacityError) as caught:
        make_trace(text, MIX, DURATIONS, 0)
    assert f"--trace {text}: " in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize("text", ["fixed:60", "uniform:10-110", "exponential:60", "lognormal:60,1.0"])
def test_durations_have_the_mean_that_they_say(text: str) -> None:
    rng = random.Random(0)
    distribution = parse_distribution(text)
    drawn = [distribution.draw(rng) for _ in range(40_000)]
    assert distribution.mean_s == 60.0
    assert sum(drawn) / len(drawn) == pytest.approx(60.0, rel=0.05)
    assert min(drawn) > 0


@pytest.mark.parametrize(
    "text", ["", "60", "fixed:", "fixed:0", "uniform:9-3", "lognormal:60", "normal:1,2", "fixed:nan"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(CapacityError, match="expected fixed:60"):
        parse_distribution(text)
