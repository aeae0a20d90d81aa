"""What the simulator reads of manifests, and what it says of wrong ones."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codeforge.capacity.behavior import Policy, PolicyType, SelectPolicy
from codeforge.capacity.fields import Fields, quantity
from codeforge.capacity.keda import ScaledObject
from codeforge.capacity.manifests import deployment_of, read_deployment
from codeforge.capacity.workloads import PlainHpa, Resource, ResourceMetric
from codeforge.errors import CapacityError
from codeforge.worker_types import WorkerType
from tests.unit.capacity.conftest import BASE

WORKER: dict[str, Any] = {
    "kind": "Deployment",
    "metadata": {"name": "w"},
    "spec": {
        "template": {
            "spec": {
                "terminationGracePeriodSeconds": 90,
                "containers": [
                    {
                        "envFrom": [{"configMapRef": {"name": "c"}}],
                        "env": [{"name": "CODEFORGE_WORKER_TYPE", "value": "scrape"}],
                        "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}},
                    },
                    {"resources": {"requests": {"cpu": 1}}},
                ],
            }
        }
    },
}
CONFIG = {
    "kind": "ConfigMap",
    "metadata": {"name": "c"},
    "data": {"CODEFORGE_MAX_CONCURRENT_TASKS": "7", "CODEFORGE_DRAIN_S": "40"},
}
SCALED: dict[str, Any] = {
    "kind": "ScaledObject",
    "metadata": {"name": "s"},
    "spec": {
        "scaleTargetRef": {"name": "w"},
        "minReplicaCount": 2,
        "idleReplicaCount": 0,
        "fallback": {"failureThreshold": 3, "replicas": 4},
        "advanced": {
            "scalingModifiers": {"formula": "q + 1", "target": "7"},
            "horizontalPodAutoscalerConfig": {
                "behavior": {
                    "scaleDown": {
                        "selectPolicy": "Min",
                        "policies": [{"type": "Percent", "value": 10, "periodSeconds": 60}],
                    }
                }
            },
        },
        "triggers": [{"type": "redis", "name": "q", "metadata": {"listName": "cf:queued:scrape"}}],
    },
}
HPA: dict[str, Any] = {
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "h"},
    "spec": {
        "scaleTargetRef": {"name": "w"},
        "maxReplicas": 9,
        "metrics": [{"type": "Resource", "resource": {"name": "memory", "target": {"averageUtilization": 80}}}],
    },
}


def read(*resources: dict[str, Any]) -> Any:
    return deployment_of([Fields(each, f"{each['kind']}/{each['metadata']['name']}") for each in resources])


def test_a_worker_and_its_scaled_object() -> None:
    (worker,) = read(CONFIG, WORKER, SCALED).workers
    assert (worker.types, worker.slots, worker.cpu, worker.memory) == ((WorkerType.SCRAPE,), 7, 1.25, 256 * 2**20)
    assert (worker.grace_s, worker.drain_s) == (90.0, 40.0)
    scaler = worker.scaler
    assert isinstance(scaler, ScaledObject)
    assert (scaler.min_replicas, scaler.max_replicas, scaler.idle_replicas) == (2, 100, 0)
    assert (scaler.polling_s, scaler.cooldown_s) == (30.0, 300.0)
    assert scaler.triggers[0].target == 5.0
    assert scaler.behavior.down.policies == [Policy(PolicyType.PERCENT, 10, 60)]
    assert scaler.behavior.down.select is SelectPolicy.MIN
    assert (scaler.behavior.down.window_s, scaler.behavior.up.window_s) == (300.0, 0.0)


def test_a_plain_hpa() -> None:
    (worker,) = read(WORKER, HPA).workers
    assert isinstance(worker.scaler, PlainHpa)
    assert worker.scaler.metrics == [ResourceMetric(Resource.MEMORY, 80)]
    assert (worker.bounds.least, worker.bounds.most) == (1, 9)
    assert worker.slots == 100  # the setting's own default


def test_the_base_as_a_file_and_rendered_are_the_same(rendered: Path) -> None:
    from_file = read_deployment(str(rendered))
    assert {worker.types for worker in from_file.workers} == {(each,) for each in WorkerType}
    if shutil.which("kubectl") is None and shutil.which("kustomize") is None:
        with pytest.raises(CapacityError, match="needs kubectl or kustomize"):
            read_deployment(str(BASE))
    else:
        names = {workload.name: workload.bounds for workload in from_file.workloads}
        assert {workload.name: workload.bounds for workload in read_deployment(str(BASE)).workloads} == names


def put(*path: str | int) -> Callable[[dict[str, Any], Any], None]:
    def change(resource: dict[str, Any], value: Any) -> None:
        place: Any = resource
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value

    return change


SPEC = "spec"


@pytest.mark.parametrize(
    ("broken", "path", "value", "says"),
    [
        (
            SCALED,
            (SPEC, "pollingInterval"),
            "soon",
            "ScaledObject/s spec.pollingInterval: must be a number, not 'soon'",
        ),
        (SCALED, (SPEC, "minReplicaCount"), 2.5, "ScaledObject/s spec.minReplicaCount: must be a whole number"),
        (SCALED, (SPEC, "minReplicaCount"), 500, "ScaledObject/s spec.minReplicaCount: is above maxReplicaCount (100)"),
        (SCALED, (SPEC, "idleReplicaCount"), 2, "ScaledObject/s spec.idleReplicaCount: must be below minReplicaCount"),
        (
            SCALED,
            ("metadata", "annotations"),
            {"autoscaling.keda.sh/paused": "true"},
            "paused scaling is not simulated",
        ),
        (
            HPA,
            (SPEC, "behavior"),
            {"scaleDown": {"tolerance": 0}},
            "spec.behavior.scaleDown.tolerance: is not simulated",
        ),
        (SCALED, (SPEC, "triggers"), [], "ScaledObject/s spec.triggers: has none"),
        (
            SCALED,
            (SPEC, "triggers", 0, "type"),
            "kafka",
            "ScaledObject/s spec.triggers[0].type: 'kafka' is not simulated",
        ),
        (SCALED, (SPEC, "triggers", 0, "metadata"), {}, "spec.triggers[0].metadata.listName: is missing"),
        (SCALED, (SPEC, "triggers", 0), "x", "spec.triggers[0]: must be a mapping, not a str"),
        (
            SCALED,
            (SPEC, "advanced", "scalingModifiers", "formula"),
            "r",
            "formula: names triggers that are not there: r",
        ),
        (SCALED, (SPEC, "advanced", "scalingModifiers", "formula"), "q +", "formula: cannot be read"),
        (SCALED, (SPEC, "advanced", "scalingModifiers", "target"), 0, "scalingModifiers.target: must be above 0"),
        (SCALED, (SPEC, "fallback"), {"replicas": 1}, "spec.fallback.failureThreshold: is missing"),
        (SCALED, (SPEC, "scaleTargetRef", "name"), "other", "spec.scaleTargetRef.name: there is no other"),
        (HPA, (SPEC, "metrics", 0, "type"), "Pods", "HorizontalPodAutoscaler/h spec.metrics[0].type: 'Pods' is not"),
        (HPA, (SPEC, "minReplicas"), 10, "HorizontalPodAutoscaler/h spec.minReplicas: is above maxReplicas (9)"),
        (
            HPA,
            (SPEC, "behavior"),
            {"scaleUp": {"selectPolicy": "most"}},
            "selectPolicy: must be one of Max, Min, Disabled",
        ),
        (
            WORKER,
            (SPEC, "template", SPEC, "terminationGracePeriodSeconds"),
            -1,
            "terminationGracePeriodSeconds: must be 0",
        ),
        (
            WORKER,
            (SPEC, "template", SPEC, "containers", 0, "resources", "requests", "cpu"),
            "much",
            "Deployment/w spec.template.spec.containers[0].resources.requests.cpu: must be a quantity",
        ),
        (WORKER, (SPEC, "template", SPEC, "containers", 0, "env", 0, "value"), "bakery", "there is no type 'bakery'"),
        (WORKER, (SPEC, "template", SPEC, "containers", 0, "env"), [], "the manifests hold no worker"),
    ],
)
def test_what_is_wrong_is_named(broken: dict[str, Any], path: tuple[str | int, ...], value: Any, says: str) -> None:
    changed = copy.deepcopy(broken)
    put(*path)(changed, value)
    others = [WORKER] if broken is not WORKER else [SCALED]
    with pytest.raises(CapacityError) as caught:
        read(CONFIG, *others, changed)
    assert says in str(caught.value)


def test_two_scalers_of_one_workload_are_refused() -> None:
    with pytest.raises(CapacityError, match="w has another scaler"):
        read(WORKER, SCALED, HPA)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a: [", "no YAML"),
        (b"\xff\xfe\x00", "is no text"),
        (b"- 1", "document 1: must be a mapping"),
        (b"a: 1", "document 1.kind: is missing"),
    ],
)
def test_a_file_that_holds_no_manifests(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(CapacityError) as caught:
        read_deployment(str(path))
    assert says in str(caught.value)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(CapacityError, match=r"--manifests nowhere\.yaml: No such file"):
        read_deployment("nowhere.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [("250m", 0.25), ("2", 2.0), ("1Gi", 2.0**30), ("1.5G", 1.5e9), ("100k", 1e5), (" 4Mi ", 2.0**22)],
)
def test_quantities(text: str, value: float) -> None:
    assert quantity(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "Gi", "1Xi", "two", "1 Gi x"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message is the caller's
        quantity(text)
