"""Rules on what a pod may do, what it is told, and what it must not know."""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

from codeforge.worker_types import WorkerType
from tests.deploy.facts import (
    BEAT_PROBE,
    NAMESPACE,
    OPTIONAL_SECRETS,
    REQUIRED_SECRETS,
    SENTINEL_SECRETS,
    image_fault,
    secret_for,
    secret_settings,
    setting_of,
    settings_from,
    unknown_variables,
    worker_secrets,
)
from tests.deploy.manifests import (
    Resource,
    Stack,
    all_containers,
    containers_of,
    environment_of,
    find,
    is_own,
    lasting,
    names,
    of_kind,
    pod_of,
    secret_keys_of,
    title,
    workloads,
)
from tests.deploy.storage import amount

START_A_MACHINE = {"cypher-shell", "neo4j-admin", "celery"}
"""Seconds of CPU a call."""

HTTP_PATHS = {"api": {"/healthz", "/readyz"}, "flower": {"/healthcheck"}}
WORKERS = {f"agent-worker-{worker_type}" for worker_type in WorkerType}
EXPECTED = {
    "Namespace": {NAMESPACE},
    "ConfigMap": {"codeforge-config"},
    "Service": {"agent-orchestrator-service"},
    "Deployment": {"agent-orchestrator", "projector", "reaper", "flower"} | WORKERS,
}
"""The contract's names."""

SCALED = {"projector"} | WORKERS

ENGINES = {
    "CODEFORGE_REDIS_HOST": ("redis", "redis-service"),
    "CODEFORGE_NEO4J_HOST": ("neo4j", "neo4j-service"),
    "CODEFORGE_QDRANT_HOST": ("qdrant", "qdrant-service"),
}
"""The contract's names of the engines' StatefulSets and Services; a stack may take the engines as given."""


def contract_names(stack: Stack) -> Iterator[str]:
    """The names are those that others rely on; each engine stands behind its Service, and pods are told that name."""
    for kind, expected in EXPECTED.items():
        yield from (f"{kind}: {name} is missing" for name in sorted(expected - names(stack, kind)))
    scalers = names(stack, "ScaledObject")
    if scalers and scalers != SCALED:
        yield f"ScaledObject: {sorted(scalers ^ SCALED)} are missing or too many"
    told = find(stack, "ConfigMap", "codeforge-config")["data"]
    engines = names(stack, "StatefulSet")
    for variable, (engine, service) in ENGINES.items():
        if told.get(variable) != service:
            yield f"ConfigMap/codeforge-config: {variable} is {told.get(variable)}, not {service}"
        if engines and (engine not in engines or service not in names(stack, "Service")):
            yield f"StatefulSet/{engine} or Service/{service} is missing"


def images(stack: Stack) -> Iterator[str]:
    """Images have exact tags, and ours the version of the code."""
    for workload, container in all_containers(stack):
        if fault := image_fault(container["image"]):
            yield f"{title(workload)}: {fault}"


SECRET_WORDS = {"PASSWORD", "SECRET", "TOKEN", "AUTH", "APIKEY"}
SECRET_PAIR = ("API", "KEY")
SECRET_LINE = re.compile(
    r"""(?im)^\s*(?:[-\w.]*password|requirepass|masterauth|sentinel\s+auth-pass\s+\S+|api_?key|[-\w.]*token)"""
    r"""\s*[:=\s]\s*["']?(?![\s"'$/%<{])\S"""
)
"""A line of a configuration file that gives a secret's value, rather than a variable or a file that holds it."""


def _sounds_secret(name: str) -> bool:
    words = re.split(r"_+", name.upper())
    named = bool(SECRET_WORDS & set(words)) or SECRET_PAIR in pairwise(words)
    return named and words[-1] not in {"FILE", "ENABLED", "PATH"}


def plain_secrets(stack: Stack) -> Iterator[str]:
    """Nothing secret is in the files: no Secret, no value of a secret setting, no password in a configuration."""
    yield from (f"{title(resource)}: a Secret in git" for resource in of_kind(stack, "Secret"))
    for config in of_kind(stack, "ConfigMap"):
        for name, value in config.get("data", {}).items():
            if setting_of(name) in secret_settings():
                yield f"{title(config)}: {name} is secret"
            if match := SECRET_LINE.search(value):
                yield f"{title(config)}: {name} has a secret in plain sight: {match[0].split()[0]}"
    for workload, container in all_containers(stack):
        for variable in container.get("env", []):
            plain = "value" in variable and "$(" not in variable["value"]
            if plain and (setting_of(variable["name"]) in secret_settings() or _sounds_secret(variable["name"])):
                yield f"{title(workload)}: {variable['name']} is a secret in plain sight"


def own_containers(stack: Stack) -> Iterator[tuple[Resource, Resource]]:
    """Each workload with each container that runs a process of ours."""
    yield from ((workload, container) for workload, container in all_containers(stack) if is_own(container))


def secrets(stack: Stack) -> Iterator[str]:
    """Each process of ours has the secrets that it needs, and no other; who only searches has a key that only reads."""
    for workload, container in own_containers(stack):
        references = secret_keys_of(container)
        process = container["name"]
        required = {setting_of(name) for name, reference in references.items() if not reference.get("optional")}
        optional = {setting_of(name) for name, reference in references.items() if reference.get("optional")}
        needed = _needed_secrets(process, environment_of(stack, container))
        if required != needed:
            yield f"{title(workload)}: {sorted(map(str, required ^ needed))} missing or too many"
        if optional != OPTIONAL_SECRETS.get(process, set()):
            yield f"{title(workload)}: optional secrets are {sorted(map(str, optional))}"
        user = environment_of(stack, container).get("CODEFORGE_REDIS_USER")
        of_user = ("CODEFORGE_REDIS_PASSWORD", f"REDIS_{process.upper()}_PASSWORD" if user == process else None)
        for name, reference in references.items():
            wanted = secret_for(process, str(setting_of(name))).upper()
            if reference["key"] != wanted and (name, reference["key"]) != of_user:
                yield f"{title(workload)}: {name} is taken from the key {reference['key']}"


def _needed_secrets(process: str, environment: Mapping[str, str]) -> set[str]:
    needed = REQUIRED_SECRETS[process]
    if "CODEFORGE_REDIS_SENTINELS" in environment:
        needed = needed | SENTINEL_SECRETS
    return needed | worker_secrets(environment) if process == "worker" else needed


def settings(stack: Stack) -> Iterator[str]:
    """The settings that a container gets are such, and its process would start with them."""
    for workload, container in own_containers(stack):
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
    """Pods run as nobody, write to nothing but volumes, and hold no privilege; ours write to /tmp alone."""
    for workload in workloads(stack):
        pod = pod_of(workload)
        context = pod.get("securityContext", {})
        wanted = {
            "runAsNonRoot": context.get("runAsNonRoot") is True and context.get("runAsUser", 0) > 0,
            "root of its own": not any(
                item.get("securityContext", {}).get("runAsUser") == 0
                or item.get("securityContext", {}).get("runAsNonRoot") is False
                for item in containers_of(workload)
            ),
            "seccompProfile": context.get("seccompProfile") == {"type": "RuntimeDefault"},
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
            "/tmp": not is_own(container) or ("/tmp" in _written(container) and len(_written(container)) == 1),
        }
        yield from (f"{title(workload)}: {name}" for name, right in wanted.items() if not right)


def _written(container: Resource) -> list[str]:
    return [mount["mountPath"] for mount in container.get("volumeMounts", []) if not mount.get("readOnly")]


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
        elif not 0.01 <= cpu <= 16 or not 2**25 <= memory <= limit <= 2**36:
            yield f"{title(workload)}: makes no sense: asked {asked}, limits {limits}"


def probes(stack: Stack) -> Iterator[str]:
    """A slow start is no hang, a hang ends in a restart, and no outage of another part does: only readiness asks it."""
    for workload in lasting(stack):
        for container in pod_of(workload)["containers"]:
            faults = _own_probes(container) if is_own(container) else _foreign_probes(container)
            yield from (f"{title(workload)}: {fault}" for fault in faults)


def _own_probes(container: Resource) -> Iterator[str]:
    paths = HTTP_PATHS.get(container["name"])
    for probe in ("startupProbe", "livenessProbe"):
        check = container.get(probe, {})
        path, command = check.get("httpGet", {}).get("path"), check.get("exec", {}).get("command")
        if path not in paths - {"/readyz"} if paths else command != BEAT_PROBE:
            yield f"{probe} is {check}"
    ready = container.get("readinessProbe", {}).get("httpGet", {}).get("path")
    if paths and ready not in paths:
        yield f"readinessProbe asks {ready}"


def _foreign_probes(container: Resource) -> Iterator[str]:
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        check = container.get(probe)
        if check is None:
            yield f"{container['name']} has no {probe}"
        elif any(word in START_A_MACHINE for word in check.get("exec", {}).get("command", [])):
            yield f"{probe} of {container['name']} starts a whole runtime each time"
