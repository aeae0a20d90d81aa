"""Rules on replicas: what KEDA reads, and what it may do with the pods."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from codeforge.ledger import keys
from codeforge.worker_types import WorkerType
from tests.deploy.facts import NAMESPACE, STOP_MARGIN_S
from tests.deploy.manifests import (
    Resource,
    Stack,
    containers_of,
    environment_of,
    find,
    is_own,
    labels_of,
    lasting,
    names,
    of_kind,
    pod_of,
    title,
    workloads,
)
from tests.deploy.references import chosen_by

MAX_NAME = 54
"""KEDA puts a prefix before the name, and the HPA's may have 63 characters."""

METADATA = {
    "redis-sentinel": {"addresses", "sentinelMaster", "listName", "listLength"},
    "redis-sentinel-streams": {"addresses", "sentinelMaster", "stream", "streamLength"},
    "metrics-api": {"url", "valueLocation", "targetValue", "authMode"},
}
API = f"http://agent-orchestrator-service.{NAMESPACE}.svc:8080"


def modifiers(scaled: Resource) -> dict[str, str]:
    """The formula and its target."""
    found: dict[str, str] = scaled["spec"].get("advanced", {}).get("scalingModifiers", {})
    return found


def keys_read(scaled: Resource) -> set[str]:
    """The Redis keys of the triggers, or the paths that they ask of the API."""
    metadata = [trigger["metadata"] for trigger in scaled["spec"]["triggers"]]
    return {entry.get("listName") or entry.get("stream") or urlsplit(entry.get("url", "")).path for entry in metadata}


def scalers(stack: Stack) -> Iterator[tuple[Resource, str]]:
    """What sets replicas, and of whom."""
    for kind in ("ScaledObject", "HorizontalPodAutoscaler"):
        for scaler in of_kind(stack, kind):
            yield scaler, scaler["spec"]["scaleTargetRef"]["name"]


def replicas(stack: Stack) -> Iterator[str]:
    """Either a scaler sets the replicas or the manifest does; never both, never two scalers on one target."""
    scaled = [name for _, name in scalers(stack)]
    for workload in lasting(stack):
        name = workload["metadata"]["name"]
        if name in scaled and "replicas" in workload["spec"]:
            yield f"{title(workload)}: replicas beside a scaler"
        if name not in scaled and "replicas" not in workload["spec"] and workload["kind"] != "DaemonSet":
            yield f"{title(workload)}: neither replicas nor a scaler"
        if scaled.count(name) > 1:
            yield f"{title(workload)}: scaled by more than one"


def utilization(stack: Stack) -> Iterator[str]:
    """An HPA on utilization has a request to measure against, and never starts from none."""
    for scaler in of_kind(stack, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        asked = [
            set(container.get("resources", {}).get("requests", {}))
            for container in pod_of(find(stack, target["kind"], target["name"]))["containers"]
        ]
        for metric in scaler["spec"].get("metrics", []):
            name = metric.get("resource", {}).get("name")
            if name is not None and not all(name in part for part in asked):
                yield f"{title(scaler)}: {target['name']} requests no {name}"
        least, most = scaler["spec"].get("minReplicas", 1), scaler["spec"]["maxReplicas"]
        if not 1 <= least <= most:
            yield f"{title(scaler)}: from {least} to {most} pods"


def formulas(stack: Stack) -> Iterator[str]:
    """Every trigger has a name that the formula adds; the target is an integer, for a fraction disables `fallback`."""
    for scaled in of_kind(stack, "ScaledObject"):
        where = title(scaled)
        triggers = [trigger.get("name") for trigger in scaled["spec"]["triggers"]]
        added = modifiers(scaled).get("formula", "").split(" + ")
        if sorted(map(str, triggers)) != sorted(added):
            yield f"{where}: the formula adds {added}, the triggers are {triggers}"
        if not re.fullmatch(r"[1-9]\d*", modifiers(scaled).get("target", "")):
            yield f"{where}: the target is no whole number"
        if "fallback" not in scaled["spec"]:
            yield f"{where}: no fallback for when Redis cannot be asked"
        elif scaled["spec"]["fallback"].get("behavior") != "currentReplicasIfHigher":
            yield f"{where}: scales in while Redis cannot be asked, and no task can be handed back"
        if len(scaled["metadata"]["name"]) > MAX_NAME:
            yield f"{where}: the name is longer than {MAX_NAME}"
        if scaled["spec"]["minReplicaCount"] > scaled["spec"]["maxReplicaCount"]:
            yield f"{where}: minReplicaCount is above maxReplicaCount"


def triggers(stack: Stack) -> Iterator[str]:
    """Triggers know their metadata, and ask the pods' Redis or the API, by a name that other namespaces can use."""
    config = find(stack, "ConfigMap", "codeforge-config")["data"]
    sentinels = (config["CODEFORGE_REDIS_SENTINELS"], config["CODEFORGE_REDIS_MASTER_NAME"])
    secure = {"enableTLS": "true"} if config.get("CODEFORGE_REDIS_TLS") == "true" else {}
    for scaled in of_kind(stack, "ScaledObject"):
        for trigger in scaled["spec"]["triggers"]:
            expected = METADATA.get(trigger["type"], set())
            if trigger["type"].startswith("redis"):
                expected = expected | set(secure)
            if expected != set(trigger["metadata"]):
                yield f"{title(scaled)}: metadata of {trigger['type']}: {sorted(trigger['metadata'])}"
            told = trigger["metadata"]
            if trigger["type"] == "metrics-api":
                asked = (
                    told.get("url", "").rpartition("/autoscale/")[0],
                    told.get("valueLocation"),
                    told.get("authMode"),
                )
                if asked != (API, "value", "bearer"):
                    yield f"{title(scaled)}: asks {asked}"
            elif (told.get("addresses"), told.get("sentinelMaster")) != sentinels:
                yield f"{title(scaled)}: the addresses are {told.get('addresses')}, of {told.get('sentinelMaster')}"
            elif not all(f".{NAMESPACE}.svc:" in host for host in sentinels[0].split(",")):
                yield f"{title(scaled)}: no names that other namespaces can use: {sentinels[0]}"


def worker_scaling(stack: Stack) -> Iterator[str]:
    """Workers are scaled by what waits and what runs, with as many tasks a pod as a pod has slots."""
    for worker_type in WorkerType:
        name = f"agent-worker-{worker_type}"
        if name not in names(stack, "ScaledObject"):
            continue
        scaled, workload = find(stack, "ScaledObject", name), find(stack, "Deployment", name)
        if keys_read(scaled) not in (
            {keys.queued(worker_type), keys.running(worker_type)},
            {f"/autoscale/{worker_type}"},
        ):
            yield f"{title(scaled)}: reads {sorted(keys_read(scaled))}"
        slots = environment_of(stack, containers_of(workload)[0]).get("CODEFORGE_MAX_CONCURRENT_TASKS")
        if modifiers(scaled).get("target") != slots:
            yield f"{title(scaled)}: the target is {modifiers(scaled).get('target')}, a pod has {slots} slots"
        down = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
        if down.get("selectPolicy") != "Min" or down.get("stabilizationWindowSeconds", 0) < 60:
            yield f"{title(scaled)}: scales in at once"


def projector_scaling(stack: Stack) -> Iterator[str]:
    """The projector is scaled by all of the outbox, never to zero, never beyond one pod a partition."""
    if "projector" not in names(stack, "ScaledObject"):
        return
    scaled = find(stack, "ScaledObject", "projector")
    environment = environment_of(stack, containers_of(find(stack, "Deployment", "projector"))[0])
    partitions = int(environment["CODEFORGE_OUTBOX_PARTITIONS"])
    streams = {keys.outbox(partition) for partition in range(partitions)}
    if keys_read(scaled) not in (streams, {"/autoscale/projector"}):
        yield f"{title(scaled)}: reads {sorted(keys_read(scaled))} of {partitions} partitions"
    if scaled["spec"]["minReplicaCount"] < 1 or scaled["spec"]["maxReplicaCount"] > partitions:
        yield f"{title(scaled)}: not between one pod and {partitions}"


def grace(stack: Stack) -> Iterator[str]:
    """What is told to stop hears of it while it starts, too, and a worker has the time to hand its tasks back."""
    for workload in workloads(stack):
        pod = pod_of(workload)
        if any(is_own(container) for container in pod["containers"]) and not pod.get("shareProcessNamespace"):
            yield f"{title(workload)}: hears no SIGTERM while it starts, as the first process of its namespace"
        if labels_of(workload).get("app.kubernetes.io/component") != "worker":
            continue
        drain_s = float(environment_of(stack, containers_of(workload)[0])["CODEFORGE_DRAIN_S"])
        grace_s = pod.get("terminationGracePeriodSeconds", 30)
        if grace_s < drain_s + STOP_MARGIN_S:
            yield f"{title(workload)}: killed after {grace_s} s, drains for {drain_s:.0f} s"


def budgets(stack: Stack) -> Iterator[str]:
    """Each workload that may have several pods has a disruption budget, and none forbids every eviction."""
    covered = {}
    for budget in of_kind(stack, "PodDisruptionBudget"):
        for workload in chosen_by(stack, budget["spec"]["selector"]["matchLabels"]):
            covered[title(workload)] = budget
            count = workload["spec"].get("replicas")
            least, most_away = budget["spec"].get("minAvailable", 0), budget["spec"].get("maxUnavailable", 1)
            if most_away == 0 or (count is None and least) or (count is not None and least >= count):
                yield f"{title(budget)}: no pod could ever be evicted"
    for workload in lasting(stack):
        if workload["spec"].get("replicas") != 1 and title(workload) not in covered and workload["kind"] != "DaemonSet":
            yield f"{title(workload)}: no PodDisruptionBudget"
