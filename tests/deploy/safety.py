"""Rules on what a pod may do, what it is told, and what it must not know."""

import re
from collections.abc import Iterator

from codeforge.worker_types import WorkerType
from tests.deploy.facts import (
    BEAT_PROBE,
    NAMESPACE,
    OPTIONAL_SECRETS,
    REQUIRED_SECRETS,
    image_fault,
    secret_settings,
    setting_of,
    settings_from,
    unknown_variables,
)
from tests.deploy.manifests import (
    Stack,
    all_containers,
    environment_of,
    find,
    names,
    of_kind,
    pod_of,
    secret_keys_of,
    title,
    workloads,
)

QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
SCALE = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
HTTP_PATHS = {"api": {"/healthz", "/readyz"}, "flower": {"/healthcheck"}}
WORKERS = {f"agent-worker-{worker_type}" for worker_type in WorkerType}
EXPECTED = {
    "Namespace": {NAMESPACE},
    "ConfigMap": {"codeforge-config"},
    "Service": {"agent-orchestrator-service"},
    "Deployment": {"agent-orchestrator", "projector", "reaper", "flower"} | WORKERS,
    "ScaledObject": {"projector"} | WORKERS,
}
"""The contract's names, of what the base holds."""

ENGINES = {
    "CODEFORGE_REDIS_HOST": "redis-service",
    "CODEFORGE_NEO4J_HOST": "neo4j-service",
    "CODEFORGE_QDRANT_HOST": "qdrant-service",
}
"""The contract's names of the Services that the base takes as given."""


def contract_names(stack: Stack) -> Iterator[str]:
    """The names are those that others rely on."""
    for kind, expected in EXPECTED.items():
        if names(stack, kind) != expected:
            yield f"{kind}: {sorted(names(stack, kind) ^ expected)} are missing or too many"
    told = find(stack, "ConfigMap", "codeforge-config")["data"]
    for variable, service in ENGINES.items():
        if told.get(variable) != service:
            yield f"ConfigMap/codeforge-config: {variable} is {told.get(variable)}, not {service}"
    replicas = find(stack, "Deployment", "agent-orchestrator")["spec"].get("replicas")
    if replicas != 3:
        yield f"Deployment/agent-orchestrator: {replicas} replicas"


def images(stack: Stack) -> Iterator[str]:
    """Images have exact tags, and ours the version of the code."""
    for workload, container in all_containers(stack):
        if fault := image_fault(container["image"]):
            yield f"{title(workload)}: {fault}"


def plain_secrets(stack: Stack) -> Iterator[str]:
    """Nothing secret is in the files: no Secret, no value of a secret setting."""
    yield from (f"{title(resource)}: a Secret in git" for resource in of_kind(stack, "Secret"))
    for config in of_kind(stack, "ConfigMap"):
        for name in config["data"]:
            if setting_of(name) in secret_settings():
                yield f"{title(config)}: {name} is secret"
    for workload, container in all_containers(stack):
        for variable in container.get("env", []):
            if "value" in variable and setting_of(variable["name"]) in secret_settings():
                yield f"{title(workload)}: {variable['name']} is a secret in plain sight"


def secrets(stack: Stack) -> Iterator[str]:
    """Each process has the secrets that it needs, and no other."""
    for workload, container in all_containers(stack):
        references = secret_keys_of(container)
        process = container["name"]
        required = {setting_of(name) for name, reference in references.items() if not reference.get("optional")}
        optional = {setting_of(name) for name, reference in references.items() if reference.get("optional")}
        if required != REQUIRED_SECRETS[process]:
            yield f"{title(workload)}: {sorted(map(str, required ^ REQUIRED_SECRETS[process]))} missing or too many"
        if optional != OPTIONAL_SECRETS.get(process, set()):
            yield f"{title(workload)}: optional secrets are {sorted(map(str, optional))}"
        for name, reference in references.items():
            if name != f"CODEFORGE_{reference['key']}":
                yield f"{title(workload)}: {name} is taken from the key {reference['key']}"


def settings(stack: Stack) -> Iterator[str]:
    """The settings that a container gets are such, and its process would start with them."""
    for workload, container in all_containers(stack):
        environment = environment_of(stack, container)
        yield from (f"{title(workload)}: no setting {name}" for name in unknown_variables(environment))
        loaded = settings_from(environment, REQUIRED_SECRETS[container["name"]])
        if isinstance(loaded, str):
            yield f"{title(workload)}: {loaded}"
        elif container["name"] == "worker" and workload["metadata"]["name"] != f"agent-worker-{loaded.worker_type}":
            yield f"{title(workload)}: serves {loaded.worker_type}"
        elif loaded.embeddings_base_url is None or loaded.embeddings_model is None:
            yield f"{title(workload)}: no embeddings service, and the images hold no embeddings"


def hardening(stack: Stack) -> Iterator[str]:
    """Pods run as nobody, write nowhere but to /tmp, and hold no right and no token that they do not use."""
    for workload in workloads(stack):
        pod = pod_of(workload)
        context = pod.get("securityContext", {})
        wanted = {
            "runAsNonRoot": context.get("runAsNonRoot") is True and context.get("runAsUser", 0) > 0,
            "seccompProfile": context.get("seccompProfile") == {"type": "RuntimeDefault"},
            "automountServiceAccountToken": pod.get("automountServiceAccountToken") is False,
            "enableServiceLinks": pod.get("enableServiceLinks") is False,
            "hostPath": not any("hostPath" in volume for volume in pod.get("volumes", [])),
            "host namespaces": not {"hostNetwork", "hostPID", "hostIPC"} & set(pod),
        }
        yield from (f"{title(workload)}: {name}" for name, right in wanted.items() if not right)
    for workload, container in all_containers(stack):
        context = container.get("securityContext", {})
        wanted = {
            "allowPrivilegeEscalation": context.get("allowPrivilegeEscalation") is False,
            "readOnlyRootFilesystem": context.get("readOnlyRootFilesystem") is True,
            "capabilities": context.get("capabilities") == {"drop": ["ALL"]},
            "privileged": not context.get("privileged"),
            "/tmp": [mount["mountPath"] for mount in container.get("volumeMounts", [])] == ["/tmp"],
        }
        yield from (f"{title(workload)}: {name}" for name, right in wanted.items() if not right)


def amount(quantity: str | int | float) -> float | None:
    """A quantity's number; None when it is none."""
    match = QUANTITY.fullmatch(str(quantity))
    return float(match[1]) * SCALE.get(match[2], 1) if match else None


def resources(stack: Stack) -> Iterator[str]:
    """Each container asks for CPU and memory, and has a limit of memory that is not below."""
    for workload, container in all_containers(stack):
        asked, limits = (container.get("resources", {}).get(part, {}) for part in ("requests", "limits"))
        cpu, memory, limit = (
            amount(asked.get("cpu", "")),
            amount(asked.get("memory", "")),
            amount(limits.get("memory", "")),
        )
        if cpu is None or memory is None or limit is None:
            yield f"{title(workload)}: no proper cpu and memory, asked {asked}, limits {limits}"
        elif not 0.01 <= cpu <= 16 or not 2**26 <= memory <= limit <= 2**36:
            yield f"{title(workload)}: makes no sense: asked {asked}, limits {limits}"


def probes(stack: Stack) -> Iterator[str]:
    """A slow start is no hang, a hang ends in a restart, and no outage of another part does: only readiness asks it."""
    for workload, container in all_containers(stack):
        for probe in ("startupProbe", "livenessProbe"):
            check = container.get(probe, {})
            if container["name"] in HTTP_PATHS:
                right = check.get("httpGet", {}).get("path") in HTTP_PATHS[container["name"]] - {"/readyz"}
            else:
                right = check.get("exec", {}).get("command") == BEAT_PROBE
            if not right:
                yield f"{title(workload)}: {probe} is {check}"
        ready = container.get("readinessProbe", {}).get("httpGet", {}).get("path")
        if container["name"] in HTTP_PATHS and ready not in HTTP_PATHS[container["name"]]:
            yield f"{title(workload)}: readinessProbe asks {ready}"
