"""What the manifests do not say: the cluster, the tasks, the prices. Every one is an option of the command."""

from dataclasses import dataclass

GIB = 2.0**30


@dataclass(frozen=True, slots=True)
class Cluster:
    """Nodes of one size. Sizes are what a node has; `reserved_*` of it is the system's. `nodes` are there at the start
    and hold the images; more come when a pod finds no room, and empty ones beyond `nodes` go."""

    node_cpu: float = 4.0
    node_memory: float = 16 * GIB
    reserved_cpu: float = 0.1
    reserved_memory: float = 1.5 * GIB
    nodes: int = 6
    max_nodes: int = 100
    node_start_s: float = 90.0
    node_idle_s: float = 600.0
    pod_start_s: float = 15.0
    image_pull_s: float = 20.0


@dataclass(frozen=True, slots=True)
class TaskProfile:
    """What a task costs its pod, and how its work is cut into journaled steps. An agent waits for a model or a page
    most of its time, so its share of a core is small; `base_*` is an idle pod's. They matter only to HPAs on CPU or
    memory, and are assumed, not measured."""

    step_s: float = 20.0
    cpu: float = 0.005
    memory: float = 0.5 * 2**20
    base_cpu: float = 0.01
    base_memory: float = 100 * 2**20


@dataclass(frozen=True, slots=True)
class Prices:
    """USD for what pods request. Default: AWS Fargate, Linux on x86, us-east-1, as its price list has it (0.04048 USD
    per vCPU-hour, 0.004445 USD per GB-hour)."""

    vcpu_hour: float = 0.04048
    gb_hour: float = 0.004445


@dataclass(frozen=True, slots=True)
class Control:
    """The control plane. A change that an HPA makes is written `write_s` after it looked, so that the next look one
    period later still finds it within the period: a policy of 15 s with a sync of 15 s acts every 30 s."""

    sync_s: float = 15.0
    write_s: float = 0.1
    scrape_s: float = 15.0
    tolerance: float = 0.1
    mark_busy: bool = False


@dataclass(frozen=True, slots=True)
class Assumptions:
    """All of them. `lease_s` is how long until the ledger takes back the tasks of a pod that was killed; `settle_s` how
    long the simulation goes on after the last arrival."""

    cluster: Cluster = Cluster()
    task: TaskProfile = TaskProfile()
    prices: Prices = Prices()
    control: Control = Control()
    lease_s: float = 15.0
    settle_s: float = 3_600.0
