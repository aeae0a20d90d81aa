"""What a rate of tasks needs, and which part breaks first."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from codeforge.capacity.assumptions import GIB, Cluster, Prices
from codeforge.capacity.redis_load import RedisCosts
from codeforge.capacity.workloads import Workload

CLUSTER_PODS = 150_000
CLUSTER_NODES = 5_000
NODE_PODS = 110
"""What Kubernetes is tested with. Source: kubernetes.io, "Considerations for large clusters"."""

POD_CONNECTIONS = 40
"""What a worker process opens to Redis at most: the ledger's pool (32), its blocking one, the lease's, Celery's."""


@dataclass(frozen=True, slots=True)
class PlanInput:
    """`tasks_s` a second, each running `mean_s` on average; ended tasks are kept `retention_s`. `slack` is the share of
    slots that is left free. A ledger may use `redis_busy` of one core, `redis_fill` of its `redis_bytes` (submissions
    are refused at 80%) and `redis_connections`."""

    tasks_s: float
    mean_s: float
    retention_s: float
    worker: Workload
    slack: float = 0.2
    redis_bytes: float = 32 * GIB
    redis_busy: float = 0.6
    redis_fill: float = 0.7
    redis_connections: int = 10_000


@dataclass(frozen=True, slots=True)
class Limit:
    """A part, the tasks a second up to which one of it goes, and what to do then."""

    part: str
    tasks_s: float
    remedy: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What it takes. Money is for the workers' requests."""

    given: PlanInput
    running: int
    pods: int
    nodes: int
    clusters: int
    usd_hour: float
    commands_s: float
    redis_cores: float
    redis_bytes: float
    ledgers: int
    limits: Sequence[Limit]


def make_plan(given: PlanInput, cluster: Cluster, prices: Prices, costs: RedisCosts) -> Plan:
    """Sizes everything by Little's law: as many run as come in the time that one takes."""
    running = given.tasks_s * given.mean_s
    pods = math.ceil(running / given.worker.slots / (1 - given.slack))
    per_node = pods_per_node(given.worker, cluster)
    nodes = math.ceil(pods / per_node)
    commands_s = given.tasks_s * costs.task_commands + pods * costs.pod_commands_s
    size = running * costs.running_bytes + given.tasks_s * given.retention_s * costs.kept_bytes
    cores = given.tasks_s * costs.task_us / 1e6
    ledgers = max(
        math.ceil(cores / given.redis_busy),
        math.ceil(size / (given.redis_bytes * given.redis_fill)),
        math.ceil(pods * POD_CONNECTIONS / given.redis_connections),
    )
    hour = given.worker.cpu * prices.vcpu_hour + given.worker.memory / GIB * prices.gb_hour
    clusters = max(math.ceil(pods / CLUSTER_PODS), math.ceil(nodes / CLUSTER_NODES))
    return Plan(
        given,
        math.ceil(running),
        pods,
        nodes,
        clusters,
        pods * hour,
        commands_s,
        cores,
        size,
        ledgers,
        limits(given, per_node, costs),
    )


def pods_per_node(worker: Workload, cluster: Cluster) -> int:
    """By the requests and the kubelet's limit; at least one."""
    by_cpu = (cluster.node_cpu - cluster.reserved_cpu) / worker.cpu if worker.cpu else NODE_PODS
    by_memory = (cluster.node_memory - cluster.reserved_memory) / worker.memory if worker.memory else NODE_PODS
    return max(1, int(min(by_cpu, by_memory, NODE_PODS)))


def limits(given: PlanInput, per_node: int, costs: RedisCosts) -> list[Limit]:
    """Every part's, the one that breaks first first."""
    pod_tasks_s = given.worker.slots * (1 - given.slack) / given.mean_s
    task_bytes = given.mean_s * costs.running_bytes + given.retention_s * costs.kept_bytes
    found = [
        Limit(
            f"memory of one ledger ({given.redis_bytes / GIB:.0f} GiB, tasks kept {_span(given.retention_s)})",
            given.redis_bytes * given.redis_fill / task_bytes,
            "keep ended tasks for a shorter time (RETENTION_SUCCEEDED_S: results are in the graph), then more ledgers",
        ),
        Limit(
            "processor of one ledger",
            given.redis_busy * 1e6 / costs.task_us,
            "more ledgers: tenants are split over them, each with its own Redis (and so its own broker) and projectors",
        ),
        Limit(
            f"connections of one ledger ({given.redis_connections:,})",
            given.redis_connections / POD_CONNECTIONS * pod_tasks_s,
            "more slots a pod (MAX_CONCURRENT_TASKS), so that fewer pods connect, then more ledgers",
        ),
        Limit(
            f"maxReplicaCount of {given.worker.name} ({given.worker.bounds.most})",
            given.worker.bounds.most * pod_tasks_s,
            "raise maxReplicaCount, and the Pods policy of scaleUp with it",
        ),
        Limit(
            f"one Kubernetes cluster ({CLUSTER_NODES:,} nodes, {CLUSTER_PODS:,} pods)",
            min(CLUSTER_NODES * per_node, CLUSTER_PODS) * pod_tasks_s,
            "more clusters, each with whole ledgers: no task crosses from one to another",
        ),
    ]
    return sorted(found, key=lambda limit: limit.tasks_s)


def plan_figures(plan: Plan) -> dict[str, Any]:
    """The plan as plain data."""
    figures = asdict(plan)
    figures["given"] = {key: value for key, value in figures["given"].items() if key != "worker"}
    return figures | {"worker": plan.given.worker.name}


def plan_lines(plans: Sequence[Plan]) -> list[str]:
    """The plans as a table, then the limits, which are the same for all."""
    rows = {
        "tasks/s": [f"{plan.given.tasks_s:,.0f}" for plan in plans],
        "tasks running at once": [f"{plan.running:,}" for plan in plans],
        "worker pods": [f"{plan.pods:,}" for plan in plans],
        "nodes": [f"{plan.nodes:,}" for plan in plans],
        "Kubernetes clusters": [f"{plan.clusters:,}" for plan in plans],
        "USD an hour": [f"{plan.usd_hour:,.2f}" for plan in plans],
        "Redis commands/s": [f"{plan.commands_s:,.0f}" for plan in plans],
        "Redis cores busy": [f"{plan.redis_cores:,.2f}" for plan in plans],
        "Redis memory": [f"{plan.redis_bytes / GIB:,.1f} GiB" for plan in plans],
        "ledgers (and brokers)": [f"{plan.ledgers:,}" for plan in plans],
    }
    width = max(map(len, rows))
    cell = max(len(text) for texts in rows.values() for text in texts)
    table = [f"{name:<{width}}  " + "  ".join(text.rjust(cell) for text in texts) for name, texts in rows.items()]
    breaks = [f"{limit.tasks_s:>10,.1f} tasks/s  {limit.part}\n{'':<20}{limit.remedy}" for limit in plans[0].limits]
    return [*table, "", "What breaks first, and what to do then:", *breaks]


def _span(seconds: float) -> str:
    return f"{seconds / 86_400:.0f} days" if seconds >= 172_800 else f"{seconds / 3600:g} h"
