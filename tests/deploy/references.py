"""Rules on what refers to what: selectors, ports, names of other resources."""

from collections.abc import Iterator

from tests.deploy.facts import NAMESPACE
from tests.deploy.kustomize import K8S
from tests.deploy.manifests import (
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
CLUSTER_KINDS = {
    "Namespace", "ClusterRole", "ClusterRoleBinding", "PriorityClass", "StorageClass", "CustomResourceDefinition",
    "ClusterSecretStore",
}  # fmt: skip
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


def _own_selectors(workload: Resource) -> Iterator[dict[str, str]]:
    """The label selectors with which a workload means its own pods."""
    if "selector" in workload["spec"]:
        yield workload["spec"]["selector"]["matchLabels"]
    pod = pod_of(workload)
    for entry in pod.get("topologySpreadConstraints", []):
        yield entry["labelSelector"]["matchLabels"]
    apart = pod.get("affinity", {}).get("podAntiAffinity", {})
    for entry in apart.get("requiredDuringSchedulingIgnoredDuringExecution", []):
        yield entry["labelSelector"]["matchLabels"]
    for entry in apart.get("preferredDuringSchedulingIgnoredDuringExecution", []):
        yield entry["podAffinityTerm"]["labelSelector"]["matchLabels"]


def selectors(stack: Stack) -> Iterator[str]:
    """Every selector finds the pods that it is meant for."""
    for workload in workloads(stack):
        for labels in _own_selectors(workload):
            if chosen_by(stack, labels) != [workload]:
                yield f"{title(workload)}: the selector {labels} does not choose its own pods, and only them"
    for service in of_kind(stack, "Service"):
        if not chosen_by(stack, service["spec"].get("selector", {})):
            yield f"{title(service)}: no pod has the labels of its selector"
    for budget in of_kind(stack, "PodDisruptionBudget"):
        if len(chosen_by(stack, budget["spec"]["selector"]["matchLabels"])) != 1:
            yield f"{title(budget)}: its selector does not choose the pods of one workload"


def port_names(container: Resource) -> set[str | int]:
    """What a container's ports can be called by."""
    ports = container.get("ports", [])
    return {port["containerPort"] for port in ports} | {port["name"] for port in ports if "name" in port}


def ports(stack: Stack) -> Iterator[str]:
    """A Service's targetPort and a probe's port exist in the containers behind; an Ingress finds Service and port."""
    for service in of_kind(stack, "Service"):
        for workload in chosen_by(stack, service["spec"].get("selector", {})):
            offered = set().union(*map(port_names, containers_of(workload)))
            for port in service["spec"]["ports"]:
                if port.get("targetPort", port["port"]) not in offered:
                    yield f"{title(service)}: {title(workload)} has no port {port.get('targetPort', port['port'])}"
    for workload, container in all_containers(stack):
        for probe in PROBES:
            for way in ("httpGet", "tcpSocket", "grpc"):
                port = container.get(probe, {}).get(way, {}).get("port")
                if port is not None and port not in port_names(container):
                    yield f"{title(workload)}: {probe} asks port {port}, which is not there"
    for where, name, port in routes(stack):
        services = [item for item in of_kind(stack, "Service") if item["metadata"]["name"] == name]
        known = {known for item in services for entry in item["spec"]["ports"] for known in entry.values()}
        if port not in known:
            yield f"{where}: there is no Service {name} with port {port}"


def routes(stack: Stack) -> Iterator[tuple[str, str, str | int]]:
    """Who leads to which Service and port: Ingresses and routes of a Gateway."""
    for ingress in of_kind(stack, "Ingress"):
        for rule in ingress["spec"].get("rules", []):
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                yield title(ingress), service["name"], service["port"].get("name", service["port"].get("number"))
    for route in of_kind(stack, "HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for backend in rule.get("backendRefs", []):
                yield title(route), backend["name"], backend["port"]


def documented_keys() -> set[str]:
    """The keys of the Secret that the READMEs beside the manifests tell to make."""
    lines = [line for path in sorted(K8S.rglob("README.md")) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [line.split("|")[1] for line in lines if line.startswith("| `")]
    cells = [part.strip(" `") for row in rows for part in row.split(",")]
    return {cell for cell in cells if cell.isupper()}


def used_keys(stack: Stack) -> Iterator[tuple[str, str, str]]:
    """What is asked of Secrets: by whom, of which, which key."""
    for workload, container in all_containers(stack):
        for reference in secret_keys_of(container).values():
            yield title(workload), reference["name"], reference["key"]
        for source in container.get("envFrom", []):
            if "secretRef" in source:
                yield title(workload), source["secretRef"]["name"], "*"
    for workload in workloads(stack):
        for volume in pod_of(workload).get("volumes", []):
            sources = [
                source["secret"] for source in volume.get("projected", {}).get("sources", []) if "secret" in source
            ]
            for secret in sources + ([volume["secret"]] if "secret" in volume else []):
                for item in secret.get("items", [{"key": "*"}]):
                    yield title(workload), secret.get("secretName", secret.get("name")), item["key"]
    for authentication in of_kind(stack, "TriggerAuthentication"):
        for reference in authentication["spec"].get("secretTargetRef", []):
            yield title(authentication), reference["name"], reference["key"]


def made_secrets(stack: Stack) -> set[str]:
    """The Secrets that other resources of the stack make in the cluster: certificates, and copies from a vault."""
    certificates = {item["spec"]["secretName"] for item in of_kind(stack, "Certificate")}
    return certificates | {
        item["spec"].get("target", {}).get("name", item["metadata"]["name"])
        for item in of_kind(stack, "ExternalSecret")
    }


def secret_keys(stack: Stack) -> Iterator[str]:
    """Secrets are codeforge-secrets, or made by a resource of the stack; the keys asked of it are documented."""
    for where, name, key in used_keys(stack):
        if name == SECRET and key not in documented_keys():
            yield f"{where}: Secret key {key} is used, but not documented"
        if name != SECRET and name not in made_secrets(stack):
            yield f"{where}: no Secret {name} is documented"


def existing(stack: Stack) -> Iterator[str]:
    """ConfigMaps, their keys, ServiceAccounts, claims, volumes, priorities and what is scaled exist where named."""
    yield from _existing_configs(stack)
    yield from _existing_volumes(stack)
    for workload in workloads(stack):
        pod = pod_of(workload)
        account = pod.get("serviceAccountName")
        if account not in names(stack, "ServiceAccount"):
            yield f"{title(workload)}: there is no ServiceAccount {account}"
        priority = pod.get("priorityClassName")
        if (
            priority is not None
            and not priority.startswith("system-")
            and priority not in names(stack, "PriorityClass")
        ):
            yield f"{title(workload)}: there is no PriorityClass {priority}"
    for stateful in of_kind(stack, "StatefulSet"):
        heads = [
            item for item in of_kind(stack, "Service") if item["metadata"]["name"] == stateful["spec"]["serviceName"]
        ]
        if [head["spec"].get("clusterIP") for head in heads] != ["None"]:
            yield f"{title(stateful)}: there is no headless Service {stateful['spec']['serviceName']}"
    yield from _existing_targets(stack)


def _existing_configs(stack: Stack) -> Iterator[str]:
    data = {config["metadata"]["name"]: config.get("data", {}) for config in of_kind(stack, "ConfigMap")}
    for workload, container in all_containers(stack):
        for source in container.get("envFrom", []):
            if "configMapRef" in source and source["configMapRef"]["name"] not in data:
                yield f"{title(workload)}: there is no ConfigMap {source['configMapRef']['name']}"
        for variable in container.get("env", []):
            reference = variable.get("valueFrom", {}).get("configMapKeyRef")
            if reference and reference["key"] not in data.get(reference["name"], {}):
                yield f"{title(workload)}: ConfigMap {reference['name']} has no key {reference['key']}"
    for workload in workloads(stack):
        for volume in pod_of(workload).get("volumes", []):
            sources = [
                part["configMap"] for part in volume.get("projected", {}).get("sources", []) if "configMap" in part
            ]
            for source in sources + ([volume["configMap"]] if "configMap" in volume else []):
                missing = {item["key"] for item in source.get("items", [])} - set(data.get(source["name"], {}))
                if source["name"] not in data:
                    yield f"{title(workload)}: there is no ConfigMap {source['name']}"
                yield from (
                    f"{title(workload)}: ConfigMap {source['name']} has no key {key}" for key in sorted(missing)
                )


def _existing_volumes(stack: Stack) -> Iterator[str]:
    for workload in workloads(stack):
        own = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
        volumes = {volume["name"] for volume in pod_of(workload).get("volumes", [])}
        mounts = {mount["name"] for item in containers_of(workload) for mount in item.get("volumeMounts", [])}
        yield from (f"{title(workload)}: there is no volume {name}" for name in sorted(mounts - volumes - own))
        yield from (f"{title(workload)}: nothing mounts volume {name}" for name in sorted((volumes | own) - mounts))
        for volume in pod_of(workload).get("volumes", []):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim is not None and claim not in names(stack, "PersistentVolumeClaim"):
                yield f"{title(workload)}: there is no PersistentVolumeClaim {claim}"


def _existing_targets(stack: Stack) -> Iterator[str]:
    authentications = names(stack, "TriggerAuthentication")
    for scaler in of_kind(stack, "ScaledObject") + of_kind(stack, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        if target["name"] not in names(stack, target.get("kind", "Deployment")):
            yield f"{title(scaler)}: there is no {target.get('kind', 'Deployment')} {target['name']}"
    for scaled in of_kind(stack, "ScaledObject"):
        for trigger in scaled["spec"]["triggers"]:
            name = trigger.get("authenticationRef", {}).get("name")
            if trigger["type"].startswith("redis") and name not in authentications:
                yield f"{title(scaled)}: there is no TriggerAuthentication {name}"
