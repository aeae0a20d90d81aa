"""Who must talk to whom, taken from what each process is told, and the rules that hold NetworkPolicies against it."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from codeforge.settings import Settings
from codeforge.worker_types import WorkerType
from tests.deploy.facts import REQUIRED_SECRETS, settings_from, worker_secrets
from tests.deploy.manifests import (
    Resource,
    Stack,
    all_containers,
    containers_of,
    environment_of,
    find,
    is_own,
    names,
    of_kind,
    pod_of,
    title,
    workloads,
)
from tests.deploy.policies import Address, Pod, allows, policies_on
from tests.deploy.references import chosen_by, routes
from tests.deploy.rights import accounts_with_rights
from tests.deploy.storage import configuration_of

Connection = tuple[str, str, int]
"""Who opens it, who takes it (titles of workloads), and on which port of the pod."""

ENGINES = {"redis_password": "REDIS", "neo4j_password": "NEO4J", "qdrant_api_key": "QDRANT"}
"""Who holds an engine's secret talks to the engine, which stands in `CODEFORGE_<name>_HOST`."""

FETCHING = {WorkerType.SCRAPE, WorkerType.ANALYSIS}
"""The types whose agents read pages."""

KEDA = Pod({"app": "keda-operator", "app.kubernetes.io/name": "keda-operator"}, namespace="keda")
PROXIES = {"Ingress": Pod({}, namespace="ingress-nginx"), "HTTPRoute": Pod({}, namespace="envoy-gateway-system")}
DNS = Pod({"k8s-app": "kube-dns"}, namespace="kube-system")
PUBLIC = Address("93.184.215.14")
CLUSTER = Address("10.96.0.1")
FORBIDDEN = [
    Address(ip) for ip in ("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "fd00:ec2::254")
]
"""Where clouds hand out credentials."""
PRIVATE = [Address(ip) for ip in ("10.1.2.3", "172.16.1.2", "192.168.1.2", "100.64.1.2", "fd12::1")]


def _service_of(stack: Stack, host: str) -> Resource | None:
    """The Service that a host's name means: `name`, `name.namespace.svc`, `pod.name.namespace.svc`."""
    known = names(stack, "Service")
    found = [part for part in host.split(".")[:2] if part in known]
    return find(stack, "Service", found[0]) if found else None


def _behind(stack: Stack, service: Resource, port: int | None) -> Iterator[tuple[str, int]]:
    """The workloads and ports of pods to which a Service's port leads; all of its ports when none is named."""
    for workload in chosen_by(stack, service["spec"].get("selector", {})):
        ports = Pod.of(workload).ports
        for entry in service["spec"]["ports"]:
            if port in {None, entry["port"]}:
                target = entry.get("targetPort", entry["port"])
                number = ports.get(target) if isinstance(target, str) else target
                if number is not None:
                    yield title(workload), number


def _named(stack: Stack, text: str) -> Iterator[tuple[str, int]]:
    """What a text that names Services leads to."""
    for name in names(stack, "Service"):
        for match in re.finditer(rf"(?<![\w-]){re.escape(name)}(?![\w-])(?:\.[\w-]+)*(?:[: ](\d+))?", text):
            yield from _behind(stack, find(stack, "Service", name), int(match[1]) if match[1] else None)


def _settings_of(stack: Stack, container: Resource) -> Settings | None:
    loaded = settings_from(environment_of(stack, container), REQUIRED_SECRETS[container["name"]])
    return loaded if isinstance(loaded, Settings) else None


def _urls_of(settings: Settings, process: str) -> Iterator[str]:
    """The services outside that a process of ours uses."""
    addresses = {
        "embeddings_api_key": settings.embeddings_base_url,
        "llm_api_key": settings.llm_base_url,
    }
    for secret, url in addresses.items():
        if secret in REQUIRED_SECRETS[process] and url:
            yield url
    if settings.otlp_endpoint:
        yield settings.otlp_endpoint


def _own_targets(stack: Stack, container: Resource) -> Iterator[tuple[str, int]]:
    environment, process = environment_of(stack, container), container["name"]
    held = REQUIRED_SECRETS[process] | (worker_secrets(environment) if process == "worker" else set())
    for secret, engine in ENGINES.items():
        if secret in held:
            service = _service_of(stack, environment[f"CODEFORGE_{engine}_HOST"])
            port = {"REDIS": 6379, "NEO4J": 7687, "QDRANT": 6333}[engine]
            yield from _behind(stack, service, port) if service else ()
    if "redis_password" in REQUIRED_SECRETS[process]:
        yield from _named(stack, environment.get("CODEFORGE_REDIS_SENTINELS", ""))
    settings = _settings_of(stack, container)
    for url in _urls_of(settings, process) if settings else ():
        parts = urlsplit(url)
        service = _service_of(stack, parts.hostname or "")
        yield from _behind(stack, service, parts.port) if service else ()


def scraped(stack: Stack) -> Iterator[tuple[str, int]]:
    """Where pods say, by annotation, that Prometheus may read their metrics."""
    for workload in workloads(stack):
        template = workload["spec"].get("template", {})
        noted = template.get("metadata", {}).get("annotations", {})
        if noted.get("prometheus.io/scrape") == "true":
            yield title(workload), int(noted["prometheus.io/port"])


def implied(stack: Stack) -> set[Connection]:
    """The connections between workloads that their settings and configurations ask for."""
    found = set()
    for workload, container in all_containers(stack):
        if is_own(container):
            targets = set(_own_targets(stack, container))
        else:
            targets = set(_named(stack, configuration_of(stack, workload)))
        found |= {(title(workload), target, port) for target, port in targets}
    if "prometheus" in names(stack, "Deployment") | names(stack, "StatefulSet"):
        (prometheus,) = [item for item in workloads(stack) if item["metadata"]["name"] == "prometheus"]
        found |= {(title(prometheus), target, port) for target, port in scraped(stack)}
    return found


def _by_title(stack: Stack) -> dict[str, Resource]:
    return {title(workload): workload for workload in workloads(stack)}


def isolated(stack: Stack) -> Iterator[str]:
    """Every pod is isolated in both directions: what no policy allows is denied."""
    for workload in workloads(stack):
        for direction in ("Ingress", "Egress"):
            if not policies_on(stack, Pod.of(workload), direction):
                yield f"{title(workload)}: no NetworkPolicy isolates it for {direction}"


def reachable(stack: Stack) -> Iterator[str]:
    """What settings and configurations ask for is allowed at both ends; so are DNS, what KEDA reads, and proxies."""
    known = _by_title(stack)
    for source, target, port in sorted(implied(stack)):
        if not allows(stack, Pod.of(known[source]), Pod.of(known[target]), port):
            yield f"{source} cannot reach {target} on {port}"
    for source in sorted(_resolving(stack)):
        if not all(allows(stack, Pod.of(known[source]), DNS, 53, protocol) for protocol in ("UDP", "TCP")):
            yield f"{source} cannot ask for names"
    for scaled in of_kind(stack, "ScaledObject"):
        for target, port in sorted(_read_by_keda(stack, scaled)):
            if not allows(stack, KEDA, Pod.of(known[target]), port):
                yield f"KEDA cannot reach {target} on {port}, which {title(scaled)} reads"
    for where, service, asked in routes(stack):
        proxy = PROXIES[where.partition("/")[0]]
        for target, port in _named(stack, f"{service}:{asked}"):
            if not allows(stack, proxy, Pod.of(known[target]), port):
                yield f"{where}: its proxy cannot reach {target} on {port}"


def _resolving(stack: Stack) -> set[str]:
    """Who connects to anything by its name."""
    named = {source for source, _, _ in implied(stack)}
    for workload in workloads(stack):
        if _outside_ports(stack, workload) or pod_of(workload).get("serviceAccountName") in accounts_with_rights(stack):
            named.add(title(workload))
    return named


def _read_by_keda(stack: Stack, scaled: Resource) -> set[tuple[str, int]]:
    found = set()
    for trigger in scaled["spec"]["triggers"]:
        found |= set(_named(stack, " ".join(trigger["metadata"].values())))
        if trigger["type"].startswith("redis-sentinel"):  # Sentinels only tell which server has the data
            found |= {
                (title(workload), 6379) for workload in workloads(stack) if workload["metadata"]["name"] == "redis"
            }
    return found


def needless(stack: Stack) -> Iterator[str]:
    """Nothing else is allowed between the workloads: each pair of pods and port has a reason."""
    wanted = implied(stack)
    for source, opener in _by_title(stack).items():
        for target, taker in _by_title(stack).items():
            for port in Pod.of(taker).ports.values():
                if (source, target, port) not in wanted and allows(stack, Pod.of(opener), Pod.of(taker), port):
                    yield f"{source} may reach {target} on {port}, and nothing asks for it"


def _outside_ports(stack: Stack, workload: Resource) -> set[int]:
    """The ports of the internet that a workload has a use for."""
    wanted: set[int] = set()
    for container in containers_of(workload):
        settings = _settings_of(stack, container) if is_own(container) else None
        for url in _urls_of(settings, container["name"]) if settings else ():
            parts = urlsplit(url)
            if _service_of(stack, parts.hostname or "") is None:
                wanted.add(parts.port or (443 if parts.scheme == "https" else 80))
        if settings and container["name"] == "worker" and settings.worker_type in FETCHING:
            wanted |= {80, 443}
    return wanted


def outside(stack: Stack) -> Iterator[str]:
    """Who uses a service outside, or reads pages, reaches public addresses; nobody else does, and nobody reaches the
    cloud's metadata or private networks, but for the Kubernetes API where an account has rights."""
    for workload in workloads(stack):
        pod, wanted = Pod.of(workload), _outside_ports(stack, workload)
        for port in (80, 443):
            if allows(stack, pod, PUBLIC, port) is not (port in wanted):
                yield f"{title(workload)}: port {port} of the internet is {'closed' if port in wanted else 'open'}"
        for address in FORBIDDEN:
            if any(allows(stack, pod, address, port) for port in (80, 443)):
                yield f"{title(workload)}: reaches {address.ip}"
        rights = pod_of(workload).get("serviceAccountName") in accounts_with_rights(stack)
        if rights and not any(allows(stack, pod, CLUSTER, port) for port in (443, 6443)):
            yield f"{title(workload)}: cannot reach the Kubernetes API"
        for address in () if rights else PRIVATE:
            if any(allows(stack, pod, address, port) for port in (80, 443)):
                yield f"{title(workload)}: reaches {address.ip}"
