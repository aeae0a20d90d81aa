"""Runs a deployment against a trace."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from codeforge.capacity.arrivals import Trace
from codeforge.capacity.assumptions import GIB, Assumptions
from codeforge.capacity.autoscaling import start_scaler
from codeforge.capacity.events import EventLoop
from codeforge.capacity.measures import PoolMeasures
from codeforge.capacity.nodes import Nodes
from codeforge.capacity.pool import Pool
from codeforge.capacity.redis_load import RedisCosts, RedisLoad, RedisMeter
from codeforge.capacity.workloads import Deployment, Workload
from codeforge.errors import CapacityError
from codeforge.worker_types import WorkerType

SAMPLES = 400
FULL_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Sample:
    """All workers together at one moment."""

    at_s: float
    queued: int
    running: int
    slots: int
    replicas: int


@dataclass(frozen=True, slots=True)
class PoolResult:
    """One workload's figures; `waiting` and `running` tasks are those at the end."""

    workload: Workload
    measures: PoolMeasures
    pod_hours: float
    waiting: int
    running: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. `full_s` is how long after a burst every task had a slot, or all pods that may be were ready;
    None for other traces, and where it never came to that. Money is for the workers' requests."""

    trace: Trace
    length_s: float
    pools: Sequence[PoolResult]
    full_s: float | None
    node_hours: float
    most_nodes: int
    usd: float
    redis: RedisLoad
    samples: Sequence[Sample]

    @property
    def waits(self) -> list[float]:
        """Of all tasks that began."""
        return [wait for pool in self.pools for wait in pool.measures.waits]

    def total(self, name: str) -> float:
        """The sum of a measure over the pools."""
        return float(sum(getattr(pool.measures, name) for pool in self.pools))


class Simulation:
    """One run. The same arguments give the same outcome."""

    def __init__(
        self, deployment: Deployment, trace: Trace, given: Assumptions, costs: RedisCosts, seed: int = 0
    ) -> None:
        rng = random.Random(f"control {seed}")  # noqa: S311 - a simulation, not a secret
        self._loop = EventLoop()
        self._trace = trace
        self._given = given
        self._meter = RedisMeter(costs, self._loop)
        nodes = Nodes(self._loop, given.cluster)
        self._nodes = nodes
        make = partial(Pool, loop=self._loop, nodes=nodes, given=given, meter=self._meter, rng=rng)
        others = [make(workload) for workload in deployment.workloads if not workload.slots]
        self._pools = [make(workload) for workload in deployment.workers]
        self._by_type = self._served()
        for pool in others:
            pool.scale_to(pool.workload.bounds.least)
        for pool in self._pools:
            start_scaler(pool, self._loop, given, rng)
        self._samples: list[Sample] = []
        self._full_s: float | None = None

    def _served(self) -> dict[WorkerType, Pool]:
        served = {worker_type: pool for pool in self._pools for worker_type in pool.workload.types}
        missing = {arrival.type for arrival in self._trace.arrivals} - served.keys()
        if missing:
            raise CapacityError(f"--trace {self._trace.text}: no worker of the manifests serves {min(missing)}")
        return served

    def run(self) -> Outcome:
        """Until some time after the last arrival."""
        end_s = self._trace.length_s + self._given.settle_s
        for arrival in self._trace.arrivals:
            self._loop.at(arrival.at_s, partial(self._by_type[arrival.type].arrive, arrival.work_s))
        self._loop.every(end_s / SAMPLES, 0.0, self._sample)
        if self._trace.burst:
            self._loop.at(self._trace.length_s, self._look_for_capacity)
        self._loop.run_until(end_s)
        self._sample()
        return self._outcome(end_s)

    def _sample(self) -> None:
        self._samples.append(
            Sample(
                self._loop.now_s,
                sum(len(pool.queue) for pool in self._pools),
                sum(pool.running for pool in self._pools),
                sum(pool.ready_slots for pool in self._pools),
                sum(pool.replicas for pool in self._pools),
            )
        )

    def _look_for_capacity(self) -> None:
        if all(self._is_full(pool) for pool in self._pools):
            self._full_s = self._loop.now_s - self._trace.length_s
        else:
            self._loop.after(FULL_EVERY_S, self._look_for_capacity)

    @staticmethod
    def _is_full(pool: Pool) -> bool:
        return not pool.queue or pool.ready_slots >= pool.workload.bounds.most * pool.workload.slots

    def _outcome(self, end_s: float) -> Outcome:
        pools = [
            PoolResult(pool.workload, pool.measures, pool.pod_hours(), len(pool.queue), pool.running)
            for pool in self._pools
        ]
        prices = self._given.prices
        usd = sum(
            pool.pod_hours * (pool.workload.cpu * prices.vcpu_hour + pool.workload.memory / GIB * prices.gb_hour)
            for pool in pools
        )
        return Outcome(
            trace=self._trace,
            length_s=end_s,
            pools=pools,
            full_s=self._full_s,
            node_hours=self._nodes.node_hours(),
            most_nodes=self._nodes.most,
            usd=usd,
            redis=self._meter.load(),
            samples=self._samples,
        )
