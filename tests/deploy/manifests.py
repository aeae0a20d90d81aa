"""A rendered stack of Kubernetes resources as data."""

from collections.abc import Iterator
from typing import Any

from tests.deploy.facts import OWN_IMAGES

Resource = dict[str, Any]
Stack = list[Resource]

LASTING = {"Deployment", "StatefulSet", "DaemonSet"}
"""Kinds whose pods are meant to run for ever."""


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
    return [resource for resource in stack if resource["kind"] in LASTING | {"Job", "CronJob"}]


def lasting(stack: Stack) -> Stack:
    """The workloads whose pods never end by themselves."""
    return [resource for resource in stack if resource["kind"] in LASTING]


def _template_of(workload: Resource) -> Resource:
    spec: Resource = workload["spec"]
    template: Resource = (spec["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else spec)["template"]
    return template


def pod_of(workload: Resource) -> Resource:
    """The pod's specification."""
    pod: Resource = _template_of(workload)["spec"]
    return pod


def labels_of(workload: Resource) -> dict[str, str]:
    """The labels of the pods."""
    labels: dict[str, str] = _template_of(workload).get("metadata", {}).get("labels", {})
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


def is_own(container: Resource) -> bool:
    """Whether it runs one of our images, wherever that is pulled from."""
    return container["image"].rpartition(":")[0].rpartition("/")[2] in OWN_IMAGES


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
