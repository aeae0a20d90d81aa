"""Rules on what refers to what: selectors, ports, names of other resources."""

from collections.abc import Iterator

from tests.deploy.facts import NAMESPACE
from tests.deploy.manifests import (
    BASE,
    Resource,
    Stack,
    all_containers,
    containers_of,
    labels_of,
    names,
    of_kind,
    pod_of,
    secret_keys_of,
    title,
    workloads,
)

SECRET = "codeforge-secrets"
CLUSTER_KINDS = {"Namespace"}
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def chosen_by(stack: Stack, labels: dict[str, str]) -> Stack:
    """The workloads whose pods have these labels."""
    return [workload for workload in workloads(stack) if labels and labels.items() <= labels_of(workload).items()]


def unique(stack: Stack) -> Iterator[str]:
    """No resource stands twice, and all are in the namespace."""
    titles = [title(resource) for resource in stack]
    yield from (f"{name} stands twice" for name in sorted({name for name in titles if titles.count(name) > 1}))
    for resource in stack:
        if resource["kind"] not in CLUSTER_KINDS and resource["metadata"].get("namespace") != NAMESPACE:
            yield f"{title(resource)} is not in the namespace {NAMESPACE}"


def selectors(stack: Stack) -> Iterator[str]:
    """Every selector finds the pods that it is meant for."""
    for workload in workloads(stack):
        own = [workload["spec"]["selector"]["matchLabels"]]
        own += [
            entry["labelSelector"]["matchLabels"] for entry in pod_of(workload).get("topologySpreadConstraints", [])
        ]
        for labels in own:
            if chosen_by(stack, labels) != [workload]:
                yield f"{title(workload)}: the selector {labels} does not choose its own pods, and only them"
    for service in of_kind(stack, "Service"):
        if not chosen_by(stack, service["spec"]["selector"]):
            yield f"{title(service)}: no pod has the labels of its selector"
    for budget in of_kind(stack, "PodDisruptionBudget"):
        if len(chosen_by(stack, budget["spec"]["selector"]["matchLabels"])) != 1:
            yield f"{title(budget)}: its selector does not choose the pods of one workload"


def port_names(container: Resource) -> set[str | int]:
    """What a container's ports can be called by."""
    ports = container.get("ports", [])
    return {port["containerPort"] for port in ports} | {port["name"] for port in ports if "name" in port}


def ports(stack: Stack) -> Iterator[str]:
    """A Service's targetPort and a probe's port exist in the containers behind."""
    for service in of_kind(stack, "Service"):
        for workload in chosen_by(stack, service["spec"]["selector"]):
            offered = set().union(*map(port_names, containers_of(workload)))
            for port in service["spec"]["ports"]:
                if port.get("targetPort", port["port"]) not in offered:
                    yield f"{title(service)}: {title(workload)} has no port {port.get('targetPort', port['port'])}"
    for workload, container in all_containers(stack):
        for probe in PROBES:
            port = container.get(probe, {}).get("httpGet", {}).get("port")
            if port is not None and port not in port_names(container):
                yield f"{title(workload)}: {probe} asks port {port}, which is not there"


def documented_keys() -> set[str]:
    """The keys of the Secret that the README tells to make."""
    readme = (BASE / "README.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in readme.splitlines() if line.startswith("| `")]
    cells = [part.strip(" `") for row in rows for part in row.split(",")]
    return {cell for cell in cells if cell.isupper()}


def secret_keys(stack: Stack) -> Iterator[str]:
    """Every key that is asked of the Secret is documented, and the other way round."""
    used = set()
    for workload, container in all_containers(stack):
        for reference in secret_keys_of(container).values():
            used.add(reference["key"])
            if reference["name"] != SECRET:
                yield f"{title(workload)}: no Secret {reference['name']} is documented"
    for authentication in of_kind(stack, "TriggerAuthentication"):
        for reference in authentication["spec"]["secretTargetRef"]:
            used.add(reference["key"])
            if reference["name"] != SECRET:
                yield f"{title(authentication)}: no Secret {reference['name']} is documented"
    yield from (f"Secret key {key} is used, but not documented" for key in sorted(used - documented_keys()))
    yield from (f"Secret key {key} is documented, but not used" for key in sorted(documented_keys() - used))


def existing(stack: Stack) -> Iterator[str]:
    """ConfigMaps, their keys, ServiceAccounts, claims, volumes and scaled Deployments that are named exist."""
    data = {config["metadata"]["name"]: config["data"] for config in of_kind(stack, "ConfigMap")}
    for workload, container in all_containers(stack):
        where = title(workload)
        for source in container.get("envFrom", []):
            if source["configMapRef"]["name"] not in data:
                yield f"{where}: there is no ConfigMap {source['configMapRef']['name']}"
        for variable in container.get("env", []):
            reference = variable.get("valueFrom", {}).get("configMapKeyRef")
            if reference and reference["key"] not in data.get(reference["name"], {}):
                yield f"{where}: ConfigMap {reference['name']} has no key {reference['key']}"
        volumes = {volume["name"] for volume in pod_of(workload).get("volumes", [])}
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                yield f"{where}: there is no volume {mount['name']}"
    for workload in workloads(stack):
        account = pod_of(workload).get("serviceAccountName")
        if account not in names(stack, "ServiceAccount"):
            yield f"{title(workload)}: there is no ServiceAccount {account}"
        for volume in pod_of(workload).get("volumes", []):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim is not None and claim not in names(stack, "PersistentVolumeClaim"):
                yield f"{title(workload)}: there is no PersistentVolumeClaim {claim}"
    for scaled in of_kind(stack, "ScaledObject"):
        if scaled["spec"]["scaleTargetRef"]["name"] not in names(stack, "Deployment"):
            yield f"{title(scaled)}: there is no Deployment {scaled['spec']['scaleTargetRef']['name']}"
        for trigger in scaled["spec"]["triggers"]:
            name = trigger.get("authenticationRef", {}).get("name")
            if name not in names(stack, "TriggerAuthentication"):
                yield f"{title(scaled)}: there is no TriggerAuthentication {name}"
