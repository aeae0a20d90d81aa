"""What is put into a rendered stack to break it."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.deploy.manifests import Resource, Stack, find

Rule = Callable[[Stack], Iterator[str]]


@dataclass(frozen=True)
class Break:
    """One change that makes a stack wrong: `path` in a resource is set to `value`, or removed where that is None.
    An empty path adds `value` to the resources. `said` is what the rule must answer."""

    rule: Rule
    kind: str
    name: str
    path: str
    value: Any
    said: str

    def apply(self, stack: Stack) -> None:
        """Breaks the stack."""
        if not self.path:
            stack += self.value
            return
        place: Any = find(stack, self.kind, self.name)
        *way, last = [int(step) if step.isdigit() else step for step in self.path.split(".")]
        for step in way:
            place = place[step]
        if self.value is None:
            del place[last]
        else:
            place[last] = self.value

    def __str__(self) -> str:
        return f"{self.rule.__name__}-{self.kind}-{self.path or 'added'}"


API, SCRAPE, PROJECTOR = "agent-orchestrator", "agent-worker-scrape", "projector"
CONTAINER = "spec.template.spec.containers.0"
SECRET: Resource = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "namespace": "codeforge-ai"}}
HPA: Resource = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "x", "namespace": "codeforge-ai"},
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": SCRAPE}, "minReplicas": 4, "maxReplicas": 3},
}


def made(kind: str, name: str, **content: Any) -> Resource:
    """A resource of the namespace, as short as the rules can read it."""
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "codeforge-ai"}, **content}


def server(kind: str, name: str, pod: Resource, **spec: Any) -> Resource:
    """A workload with one container."""
    container = {"name": name, "image": "example:1.0"} | pod.pop("container", {})
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]} | pod}
    return made(kind, name, spec={"selector": {"matchLabels": {"app": name}}, "template": template} | spec)


ONE_NODE = made("PersistentVolumeClaim", "one", spec={"accessModes": ["ReadWriteOnce"]})
ON_ONE = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "one"}}]}
SHARED_CLAIM = [ONE_NODE, server("Deployment", "shared", dict(ON_ONE), replicas=3)]
ROLLED_CLAIM = [ONE_NODE, server("Deployment", "rolled", dict(ON_ONE), replicas=1)]
EVICTING = [server("StatefulSet", "redis", {"container": {"args": ["--maxmemory-policy", "allkeys-lru"]}})]
DEADLOCKED = [
    server("StatefulSet", "qdrant", {}, serviceName="peers"),
    made("Service", "peers", spec={"clusterIP": "None", "selector": {"app": "qdrant"}}),
]
HURRIED = [server("StatefulSet", "neo4j", {})]
UNKEPT = [server("StatefulSet", "redis", {}, replicas=3, serviceName="redis")]


def ingress(service: str, port: int) -> Resource:
    """An Ingress to a Service."""
    backend = {"service": {"name": service, "port": {"number": port}}}
    return made("Ingress", "x", spec={"rules": [{"http": {"paths": [{"backend": backend}]}}]})


ENDLESS = [ingress("x", 80)]
ROUTED = ingress(f"{API}-service", 8080)


def bound(kind: str, account: str, *granted: Resource) -> Stack:
    """A role with these rules, bound to an account."""
    ref = {"kind": kind, "name": "x"}
    binding = made(f"{kind}Binding", "x", roleRef=ref, subjects=[{"kind": "ServiceAccount", "name": account}])
    return [binding, *([made(kind, "x", rules=list(granted))] if granted else [])]


READS_SECRETS = {"resources": ["secrets"], "verbs": ["get"]}
IN_FILE = [made("ConfigMap", "redis", data={"redis.conf": "appendonly yes\nrequirepass hunter2\n"})]
DELETES = {"resources": ["pods"], "verbs": ["get", "delete"]}
ROUTE: Resource = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "x", "namespace": "codeforge-ai"},
    "spec": {"parentRefs": [{"name": "x"}], "hostnames": ["x"]},
}
STRANGER: Resource = {"apiVersion": "example.org/v1", "kind": "Gadget", "metadata": {"name": "x"}}
BY_GPU = copy.deepcopy(HPA)
BY_GPU["spec"] |= {"minReplicas": 1, "metrics": [{"type": "Resource", "resource": {"name": "gpu"}}]}
OF_CONFIG = {"name": "tmp", "configMap": {"name": "codeforge-config", "items": [{"key": "x", "path": "x"}]}}
CLAIM = {"name": "tmp", "persistentVolumeClaim": {"claimName": "x"}}
KEY_OF_CONFIG = {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "codeforge-config", "key": "X"}}}
PLAIN = [{"name": "CODEFORGE_REDIS_PASSWORD", "value": "hunter2"}]
FOREIGN = [
    {
        "name": "CODEFORGE_LLM_API_KEY",
        "valueFrom": {"secretKeyRef": {"name": "codeforge-secrets", "key": "LLM_API_KEY"}},
    }
]
WRITING = [
    {
        "name": "CODEFORGE_QDRANT_API_KEY",
        "valueFrom": {"secretKeyRef": {"name": "codeforge-secrets", "key": "QDRANT_API_KEY"}},
    }
]
MORE = [
    {"name": "CODEFORGE_REDIS_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "codeforge-secrets", "key": "MORE"}}}
]
OTHER = [{"name": "CODEFORGE_REDIS_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "other", "key": "MORE"}}}]


def policy(name: str, **spec: Any) -> Resource:
    """A NetworkPolicy on all pods, or on those that `podSelector` chooses."""
    return made("NetworkPolicy", name, spec={"podSelector": {}} | spec)


DENY_ALL = policy("deny-all", policyTypes=["Ingress", "Egress"])
ALLOW_ALL = policy("allow-all", policyTypes=["Ingress", "Egress"], ingress=[{}], egress=[{}])
NOBODY = {"matchLabels": {"app": "nobody"}}
NO_PEER = {"podSelector": NOBODY}
TELLING = {"container": {"env": [{"name": "BACKEND", "value": "http://backend-service:80"}]}}
ANSWERING = {"container": {"ports": [{"name": "http", "containerPort": 8000}]}}
BACKEND = made(
    "Service", "backend-service", spec={"selector": {"app": "back"}, "ports": [{"port": 80, "targetPort": "http"}]}
)
CUT_OFF = [
    DENY_ALL,
    BACKEND,
    server("Deployment", "front", dict(TELLING)),
    server("Deployment", "back", dict(ANSWERING)),
]
ASKS_ELSEWHERE: Resource = {
    "type": "metrics-api",
    "name": "queued",
    "metadata": {
        "url": "http://api/autoscale/scrape",
        "valueLocation": "value",
        "targetValue": "25",
        "authMode": "bearer",
    },
}
