"""Rules on what is kept on disks, and on amounts."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tests.deploy.manifests import (
    Resource,
    Stack,
    containers_of,
    environment_of,
    find,
    lasting,
    names,
    of_kind,
    pod_of,
    title,
)

QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
SCALE = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
AMOUNTS = {"cpu", "memory", "storage", "ephemeral-storage", "sizeLimit"}
WHOLE = {"memory", "storage", "ephemeral-storage", "sizeLimit"}
REDIS_MUST = {("maxmemory-policy", "noeviction"), ("appendonly", "yes")}
NEO4J_STOP_S = 120
QDRANT_KEYS = {"QDRANT__SERVICE__API_KEY", "QDRANT__SERVICE__READ_ONLY_API_KEY"}
SINGLE = {"ReadWriteOnce", "ReadWriteOncePod"}


def amount(quantity: str | int | float) -> float | None:
    """A quantity's number; None when it is none."""
    match = QUANTITY.fullmatch(str(quantity))
    return float(match[1]) * SCALE.get(match[2], 1) if match else None


def _amounts(part: Any, path: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every quantity below a part: where, of what, how much."""
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in items:
        if key in AMOUNTS and isinstance(value, str | int | float):
            yield f"{path}.{key}", key, value
        else:
            yield from _amounts(value, f"{path}.{key}")


def quantities(stack: Stack) -> Iterator[str]:
    """Amounts are such as Kubernetes reads, and bytes are whole: `1GB` is refused, `512m` of memory is half a byte."""
    for resource in stack:
        for path, kind, value in _amounts(resource.get("spec", {})):
            number = amount(value)
            if number is None or number <= 0 or (kind in WHOLE and (number < 2**20 or number % 1)):
                yield f"{title(resource)}: {path[1:]} is {value}"


def _pods_of(stack: Stack, workload: Resource) -> int:
    """The most pods that a workload may have."""
    name = workload["metadata"]["name"]
    scaled = [
        item["spec"].get("maxReplicaCount", item["spec"].get("maxReplicas", 2))
        for kind in ("ScaledObject", "HorizontalPodAutoscaler")
        for item in of_kind(stack, kind)
        if item["spec"]["scaleTargetRef"]["name"] == name
    ]
    most: int = max([*scaled, workload["spec"].get("replicas", 1)])
    return most


def claims(stack: Stack) -> Iterator[str]:
    """A claim that one node can hold is used by one pod: no replicas share it, and no second pod comes at a rollout."""
    for workload in lasting(stack):
        for volume in pod_of(workload).get("volumes", []):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim not in names(stack, "PersistentVolumeClaim"):
                continue
            modes = set(find(stack, "PersistentVolumeClaim", claim)["spec"]["accessModes"])
            if modes <= SINGLE and _pods_of(stack, workload) > 1:
                yield f"{title(workload)}: {_pods_of(stack, workload)} pods share the claim {claim} ({sorted(modes)})"
            strategy = workload["spec"].get("strategy", {}).get("type")
            if modes <= SINGLE and workload["kind"] == "Deployment" and strategy != "Recreate":
                yield f"{title(workload)}: a rollout starts a second pod on the claim {claim}; strategy is {strategy}"


def kept(stack: Stack) -> Iterator[str]:
    """What a store of tasks or results writes survives its pod: a StatefulSet has claims of its own for its data."""
    for stateful in of_kind(stack, "StatefulSet"):
        if stateful["metadata"]["name"] in {"redis", "neo4j", "qdrant"} and not stateful["spec"].get(
            "volumeClaimTemplates"
        ):
            yield f"{title(stateful)}: no volumeClaimTemplates"


def configuration_of(stack: Stack, workload: Resource) -> str:
    """All that others' containers of a workload are told: arguments, variables, files of mounted ConfigMaps."""
    data = {item["metadata"]["name"]: item.get("data", {}) for item in of_kind(stack, "ConfigMap")}
    told: list[str] = []
    for container in containers_of(workload):
        told += [*environment_of(stack, container).values(), *container.get("command", []), *container.get("args", [])]
        for variable in container.get("env", []):
            reference = variable.get("valueFrom", {}).get("configMapKeyRef", {})
            told.append(data.get(reference.get("name"), {}).get(reference.get("key"), ""))
    for volume in pod_of(workload).get("volumes", []):
        told += data.get(volume.get("configMap", {}).get("name", ""), {}).values()
    return "\n".join(told)


def engines(stack: Stack) -> Iterator[str]:
    """Redis evicts nothing and keeps a log of all writes; Qdrant's peers start together, each known before it is ready,
    and know a key that only reads; Neo4j has minutes to stop."""
    heads = {item["metadata"]["name"]: item["spec"] for item in of_kind(stack, "Service")}
    for stateful in of_kind(stack, "StatefulSet"):
        name, spec = stateful["metadata"]["name"], stateful["spec"]
        grace_s = pod_of(stateful).get("terminationGracePeriodSeconds", 30)
        if name == "redis":
            told = configuration_of(stack, stateful).split()
            for setting in REDIS_MUST:
                if setting not in pairwise(told):
                    yield f"{title(stateful)}: its configuration does not say {' '.join(setting)}"
        if name == "neo4j" and grace_s < NEO4J_STOP_S:
            yield f"{title(stateful)}: killed {grace_s} s after it is told to stop"
        if name == "qdrant" and spec.get("podManagementPolicy") != "Parallel":
            yield f"{title(stateful)}: not podManagementPolicy Parallel"
        variables = {variable["name"] for part in containers_of(stateful) for variable in part.get("env", [])}
        if name == "qdrant" and not variables >= QDRANT_KEYS:
            yield f"{title(stateful)}: {sorted(QDRANT_KEYS - variables)} missing"
        head = heads.get(spec.get("serviceName"), {})
        if name == "qdrant" and not head.get("publishNotReadyAddresses"):
            yield f"Service/{spec.get('serviceName')}: not publishNotReadyAddresses"
