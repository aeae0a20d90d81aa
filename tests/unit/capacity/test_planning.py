"""Plans: arithmetic that a reader can follow."""

from dataclasses import replace

import pytest

from codeforge.capacity.assumptions import GIB, Cluster, Prices
from codeforge.capacity.planning import POD_CONNECTIONS, PlanInput, make_plan, pods_per_node
from codeforge.capacity.redis_load import RedisCosts
from codeforge.wiring.ledger import BACKGROUND_CONNECTIONS
from codeforge.wiring.worker import WORKER_CONNECTIONS
from tests.unit.capacity.conftest import worker

GIVEN = PlanInput(tasks_s=10.0, mean_s=300.0, retention_s=3_600.0, worker=worker(slots=25, most=20))
COSTS = RedisCosts()


def test_as_many_run_as_come_while_one_runs() -> None:
    made = make_plan(GIVEN, Cluster(), Prices(), COSTS)
    assert made.running == 3_000
    assert made.pods == 150  # 3,000 on 25 slots, a fifth of which is left free
    assert made.nodes == 10  # 15 pods of 250m on 3.9 cores
    assert made.commands_s == pytest.approx(10 * COSTS.task_commands + 150 * COSTS.pod_commands_s)
    assert made.redis_bytes == pytest.approx(3_000 * COSTS.running_bytes + 36_000 * COSTS.kept_bytes)
    assert (made.ledgers, made.clusters) == (1, 1)


def test_a_hundred_thousand_a_second_need_many_ledgers_and_clusters() -> None:
    made = make_plan(replace(GIVEN, tasks_s=100_000.0), Cluster(), Prices(), COSTS)
    assert made.ledgers >= made.redis_cores / GIVEN.redis_busy
    assert made.ledgers * GIVEN.redis_bytes * GIVEN.redis_fill >= made.redis_bytes
    assert made.ledgers * GIVEN.redis_connections >= made.pods * POD_CONNECTIONS
    assert made.clusters > 1


def test_limits_are_those_at_which_a_second_one_is_needed() -> None:
    made = make_plan(GIVEN, Cluster(), Prices(), COSTS)
    rates = [limit.tasks_s for limit in made.limits]
    assert rates == sorted(rates)
    ledger = min(limit.tasks_s for limit in made.limits if "ledger" in limit.part)
    assert make_plan(replace(GIVEN, tasks_s=ledger * 0.98), Cluster(), Prices(), COSTS).ledgers == 1
    assert make_plan(replace(GIVEN, tasks_s=ledger * 1.05), Cluster(), Prices(), COSTS).ledgers == 2


def test_pods_of_a_node_are_bounded_by_cpu_memory_and_the_kubelet() -> None:
    pod = worker()
    assert pods_per_node(pod, Cluster()) == 15
    assert pods_per_node(replace(pod, memory=4 * GIB), Cluster()) == 3
    assert pods_per_node(replace(pod, cpu=0.0, memory=0.0), Cluster()) == 110


def test_the_connections_of_a_pod_are_those_of_its_pools() -> None:
    assert POD_CONNECTIONS >= WORKER_CONNECTIONS + BACKGROUND_CONNECTIONS
