"""The same workers with parameters as one finds them in tutorials, to see what the shipped ones are for."""

from dataclasses import replace

from codeforge.capacity.behavior import Behavior, Bounds
from codeforge.capacity.keda import ScaledObject, Trigger
from codeforge.capacity.manifests import GRACE_S
from codeforge.capacity.workloads import Deployment, PlainHpa, Resource, ResourceMetric, Workload

LIST_LENGTH = 5.0
CPU_PERCENT = 70


def queue_length_only(deployment: Deployment) -> Deployment:
    """KEDA with its defaults on LLEN of the Celery queue, and a plain Celery worker, which is killed at the default
    grace with whatever it runs."""
    return deployment.replaced([_by_queue_length(worker) for worker in deployment.workers])


def cpu_only(deployment: Deployment) -> Deployment:
    """An HPA on 70% CPU with its defaults, at least one pod, and the same plain worker."""
    return deployment.replaced([_by_cpu(worker) for worker in deployment.workers])


def _plain(worker: Workload) -> Workload:
    return replace(worker, grace_s=float(GRACE_S), hands_back=False)


def _by_queue_length(worker: Workload) -> Workload:
    triggers = [Trigger(f"s{number}", each.value, LIST_LENGTH) for number, each in enumerate(worker.types)]
    scaler = ScaledObject(worker.name, worker.name, triggers, max_replicas=worker.bounds.most)
    return replace(_plain(worker), scaler=scaler)


def _by_cpu(worker: Workload) -> Workload:
    bounds = Bounds(1, worker.bounds.most)
    scaler = PlainHpa(worker.name, worker.name, bounds, [ResourceMetric(Resource.CPU, CPU_PERCENT)], Behavior())
    return replace(_plain(worker), scaler=scaler)
