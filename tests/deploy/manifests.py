"""The Kubernetes base as data."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.deploy.facts import ROOT, load_yaml

BASE = ROOT / "deploy" / "k8s" / "base"

Resource = dict[str, Any]
Stack = list[Resource]


def kustomization(base: Path = BASE) -> Resource:
    """What `kubectl kustomize` reads."""
    content: Resource = load_yaml(base / "kustomization.yaml")
    return content


def load_stack(base: Path = BASE) -> Stack:
    """What `kubectl kustomize` renders. The base has resources only, so rendering is reading."""
    return [load_yaml(base / name) for name in kustomization(base)["resources"]]


def title(resource: Resource) -> str:
    """`Kind/name`."""
    return f"{resource['kind']}/{resource['metadata']['name']}"


def of_kind(stack: Stack, kind: str) -> Stack:
    """The resources of a kind."""
    return [resource for resource in stack if resource["kind"] == kind]


def find(stack: Stack, kind: str, name: str) -> Resource:
    """The one resource of that kind and name."""
    (found,) = [resource for resource in of_kind(stack, kind) if resource["metadata"]["name"] == name]
    return found


def names(stack: Stack, kind: str) -> set[str]:
    """The names of a kind's resources."""
    return {resource["metadata"]["name"] for resource in of_kind(stack, kind)}


def workloads(stack: Stack) -> Stack:
    """The resources with a pod template."""
    return [resource for resource in stack if resource["kind"] in {"Deployment", "StatefulSet", "DaemonSet"}]


def pod_of(workload: Resource) -> Resource:
    """The pod's specification."""
    pod: Resource = workload["spec"]["template"]["spec"]
    return pod


def labels_of(workload: Resource) -> dict[str, str]:
    """The labels of the pods."""
    labels: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return labels


def containers_of(workload: Resource) -> list[Resource]:
    """All containers, those of the start among them."""
    pod = pod_of(workload)
    return [*pod.get("initContainers", []), *pod["containers"]]


def all_containers(stack: Stack) -> Iterator[tuple[Resource, Resource]]:
    """Each workload with each of its containers."""
    for workload in workloads(stack):
        for container in containers_of(workload):
            yield workload, container


def environment_of(stack: Stack, container: Resource) -> dict[str, str]:
    """The container's plain variables: of its ConfigMaps, then its own."""
    environment: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            environment |= find(stack, "ConfigMap", source["configMapRef"]["name"])["data"]
    own = {variable["name"]: variable["value"] for variable in container.get("env", []) if "value" in variable}
    return environment | own


def secret_keys_of(container: Resource) -> dict[str, Resource]:
    """The container's variables that come from a Secret, with their references."""
    return {
        variable["name"]: variable["valueFrom"]["secretKeyRef"]
        for variable in container.get("env", [])
        if "secretKeyRef" in variable.get("valueFrom", {})
    }
