"""The simulation as a whole: what must hold for any run, and what is promised of the shipped manifests."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeforge.capacity.arrivals import Arrival, Trace, make_trace
from codeforge.capacity.assumptions import GIB, Assumptions, Cluster, Control, TaskProfile
from codeforge.capacity.behavior import Behavior, Policy, PolicyType, ScalingRules
from codeforge.capacity.distributions import parse_distribution
from codeforge.capacity.manifests import read_deployment
from codeforge.capacity.naive import cpu_only, queue_length_only
from codeforge.capacity.redis_load import RedisCosts
from codeforge.capacity.simulation import Outcome, Simulation
from codeforge.capacity.workloads import Deployment, Workload
from codeforge.errors import CapacityError
from codeforge.worker_types import WorkerType
from tests.unit.capacity.conftest import deployment

COSTS = RedisCosts()
DURATIONS = {each: parse_distribution("lognormal:300,1.0") for each in WorkerType}
CODING = {WorkerType.CODING: 1.0}
AT_ONCE = Behavior(
    ScalingRules([Policy(PolicyType.PODS, 100, 15)], 0.0), ScalingRules([Policy(PolicyType.PERCENT, 100, 15)], 0.0)
)


def trace(*moments: tuple[float, float]) -> Trace:
    """Coding tasks as (at, work) in seconds."""
    arrivals = [Arrival(at_s, WorkerType.CODING, work_s) for at_s, work_s in sorted(moments)]
    return Trace("test", arrivals, arrivals[-1].at_s)


def run(what: Deployment, when: Trace, given: Assumptions | None = None, seed: int = 0) -> Outcome:
    return Simulation(what, when, given or Assumptions(settle_s=2_000.0), COSTS, seed).run()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    moments=st.lists(st.tuples(st.floats(0, 600), st.floats(0.1, 400)), min_size=1, max_size=60),
    most=st.integers(1, 6),
    least=st.integers(0, 2),
    nodes=st.integers(0, 2),
    hands_back=st.booleans(),
    at_once=st.booleans(),
    grace_s=st.sampled_from([10.0, 60.0]),
    seed=st.integers(0, 1000),
)
def test_no_task_is_counted_twice_or_forgotten_and_the_bounds_hold(
    moments: list[tuple[float, float]],
    most: int,
    least: int,
    nodes: int,
    hands_back: bool,
    at_once: bool,
    grace_s: float,
    seed: int,
) -> None:
    what = deployment(
        slots=3, least=min(least, most), most=most, hands_back=hands_back, behavior=AT_ONCE if at_once else None
    )
    what = what.replaced([replace(what.workers[0], grace_s=grace_s)])
    given_ = Assumptions(Cluster(nodes=nodes, max_nodes=3), settle_s=900.0)
    outcome = run(what, trace(*moments), given_, seed)
    (pool,) = outcome.pools
    measures = pool.measures
    accounted = measures.finished + measures.lost + measures.recovering + pool.waiting + pool.running
    assert measures.arrived == len(moments) == accounted
    assert len(measures.waits) <= measures.arrived
    assert all(wait >= 0 for wait in measures.waits)
    assert all(sample.replicas <= most for sample in outcome.samples)
    assert all(sample.running <= 3 * (most + measures.stopped_busy) for sample in outcome.samples)
    assert all(sample.replicas >= min(least, most) for sample in outcome.samples if sample.at_s > 60)
    if hands_back:
        assert not measures.lost
        assert not measures.cut or grace_s < what.workers[0].drain_s
    else:
        assert not measures.handed_back


def test_the_same_seed_gives_the_same_run() -> None:
    when = make_trace("poisson:rate=0.2,seconds=600", CODING, DURATIONS, 3)
    first, second = (run(deployment(), when, seed=3) for _ in range(2))
    assert first.waits == second.waits
    assert first.samples == second.samples
    assert run(deployment(), when, seed=4).waits != first.waits


def test_tasks_of_one_moment_are_handed_back_in_the_same_order_each_time() -> None:
    when = make_trace("burst:tasks=200", CODING, DURATIONS, 3)
    first, *others = (run(deployment(), when, seed=3).pools[0].measures for _ in range(5))
    assert first.handed_back > 1
    assert all(other.repeated_s == first.repeated_s for other in others)
    assert all(other.handed_back == first.handed_back for other in others)


def test_one_task_from_zero_waits_for_the_poll_and_the_pods_start() -> None:
    outcome = run(deployment(), trace((0.0, 5.0)))
    (wait,) = outcome.waits
    assert 15.0 <= wait <= 15.0 + 5.0  # a pod's start, and a polling interval at most
    assert outcome.pools[0].measures.most_pods == 1


def test_the_pod_goes_a_cooldown_after_the_last_task() -> None:
    outcome = run(deployment(), trace((0.0, 30.0)), Assumptions(settle_s=1_200.0))
    ended_s = outcome.waits[0] + 30.0
    gone = [sample.at_s for sample in outcome.samples if sample.at_s > ended_s and not sample.replicas]
    assert 300.0 <= gone[0] - ended_s <= 300.0 + 5.0 + 2 * outcome.length_s / 400


def test_a_burst_that_no_node_has_room_for_waits_for_one() -> None:
    no_room = Assumptions(Cluster(nodes=0, node_start_s=90.0, image_pull_s=20.0), settle_s=1_000.0)
    (wait,) = run(deployment(), trace((0.0, 5.0)), no_room).waits
    assert 90.0 + 20.0 + 15.0 <= wait <= 90.0 + 20.0 + 15.0 + 5.0


def test_a_pod_that_is_larger_than_a_node_is_refused() -> None:
    with pytest.raises(CapacityError, match="larger than a node"):
        run(deployment(), trace((0.0, 5.0)), Assumptions(Cluster(node_memory=1.6 * GIB, reserved_memory=1.5 * GIB)))


def test_a_handed_back_task_repeats_at_most_its_step() -> None:
    """An HPA that scales in at once, victims at will: whatever is repeated is less than a step for each."""
    when = make_trace("poisson:rate=0.3,seconds=2000", CODING, DURATIONS, 1)
    what = deployment(slots=2, most=60, behavior=AT_ONCE)
    given_ = Assumptions(Cluster(nodes=20), TaskProfile(step_s=20.0), settle_s=4_000.0)
    outcome = run(what, when, given_)
    assert outcome.total("handed_back") > 10
    assert 0 < outcome.total("repeated_s") <= 20.0 * outcome.total("handed_back")


def test_marked_busy_pods_stay_while_idle_ones_go() -> None:
    """With one slot a pod, there is an idle pod for every one that must go."""
    when = make_trace("poisson:rate=0.3,seconds=2000", CODING, DURATIONS, 1)
    what = deployment(slots=1, most=100, behavior=AT_ONCE)
    given_ = Assumptions(Cluster(nodes=20), settle_s=4_000.0)
    assert run(what, when, given_).total("handed_back") > 10
    assert run(what, when, replace(given_, control=Control(mark_busy=True))).total("handed_back") == 0


def test_a_drain_longer_than_the_grace_cuts_tasks_which_the_lease_brings_back() -> None:
    when = make_trace("poisson:rate=0.3,seconds=2000", CODING, DURATIONS, 1)
    what = deployment(slots=2, most=60, behavior=AT_ONCE)
    worker = replace(what.workers[0], grace_s=10.0, drain_s=25.0)
    outcome = run(what.replaced([worker]), when, Assumptions(Cluster(nodes=20), settle_s=6_000.0))
    assert outcome.total("cut") > 10
    assert outcome.total("handed_back") == outcome.total("lost") == 0
    assert outcome.total("finished") == outcome.total("arrived")


@pytest.fixture(scope="module")
def shipped(rendered: Path) -> Deployment:
    return read_deployment(str(rendered))


def most_slots(worker: Workload) -> int:
    return worker.bounds.most * worker.slots


@pytest.mark.parametrize("worker_type", list(WorkerType))
def test_a_burst_of_500_from_zero_has_its_capacity_within_a_minute(
    shipped: Deployment, worker_type: WorkerType
) -> None:
    """Whatever the moment of the burst between two polls and two syncs; pods start in 15 s."""
    (worker,) = [each for each in shipped.workers if worker_type in each.types]
    assert most_slots(worker) >= 500
    for seed in range(40):
        when = make_trace("burst:tasks=500", {worker_type: 1.0}, DURATIONS, seed)
        outcome = run(shipped, when, Assumptions(settle_s=120.0), seed)
        assert outcome.full_s is not None
        assert outcome.full_s < 60.0


def test_a_day_with_a_tenfold_peak_loses_no_running_task_and_naive_setups_do(shipped: Deployment) -> None:
    when = make_trace("day:tasks=8000,peak=10,seconds=17280", CODING, DURATIONS, 0)
    outcome = run(shipped, when, Assumptions(settle_s=6_000.0))
    assert outcome.total("finished") == outcome.total("arrived") == 8000
    assert outcome.total("cut") == outcome.total("lost") == 0
    assert run(queue_length_only(shipped), when).total("lost") > 100
    by_cpu = run(cpu_only(shipped), when)
    assert by_cpu.total("finished") < 8000
    assert max(by_cpu.waits) > 10 * max(outcome.waits)


def test_a_type_that_nobody_serves_is_named() -> None:
    when = make_trace("burst:tasks=1", {WorkerType.SCRAPE: 1.0}, DURATIONS, 0)
    with pytest.raises(CapacityError, match="no worker of the manifests serves scrape"):
        run(deployment(), when)


def test_what_redis_would_see() -> None:
    outcome = run(deployment(), trace(*[(0.0, 5.0)] * 10), Assumptions(settle_s=100.0))
    assert outcome.redis.peak_bytes == pytest.approx(10 * COSTS.kept_bytes)
    pods = outcome.pools[0].pod_hours * 3600
    most = 10 * (COSTS.task_commands + 1) + pods * COSTS.pod_commands_s
    assert 0 < outcome.redis.mean_commands_s * outcome.length_s <= most
    assert outcome.redis.peak_commands_s >= outcome.redis.mean_commands_s
