"""Every rule on manifests, and the broken manifests that it catches."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.deploy import references, rights, safety, scaling, storage
from tests.deploy.manifests import Resource, Stack, find
from tests.deploy.schemas import schema_fault

Rule = Callable[[Stack], Iterator[str]]


def schemas(stack: Stack) -> Iterator[str]:
    """Every resource is valid strictly."""
    yield from filter(None, map(schema_fault, stack))


RULES: tuple[Rule, ...] = (
    schemas,
    references.unique,
    references.selectors,
    references.ports,
    references.secret_keys,
    references.existing,
    storage.quantities,
    storage.claims,
    storage.kept,
    rights.tokens,
    rights.roles,
    scaling.replicas,
    scaling.utilization,
    scaling.formulas,
    scaling.triggers,
    scaling.worker_scaling,
    scaling.projector_scaling,
    scaling.grace,
    scaling.budgets,
    safety.contract_names,
    safety.images,
    safety.plain_secrets,
    safety.secrets,
    safety.settings,
    safety.hardening,
    safety.resources,
    safety.probes,
)


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
UNKEPT = [server("StatefulSet", "redis", {}, replicas=3, serviceName="redis")]
ENDLESS = [
    made(
        "Ingress",
        "x",
        spec={"rules": [{"http": {"paths": [{"backend": {"service": {"name": "x", "port": {"number": 80}}}}]}}]},
    )
]


def bound(kind: str, account: str, *granted: Resource) -> Stack:
    """A role with these rules, bound to an account."""
    ref = {"kind": kind, "name": "x"}
    binding = made(f"{kind}Binding", "x", roleRef=ref, subjects=[{"kind": "ServiceAccount", "name": account}])
    return [binding, *([made(kind, "x", rules=list(granted))] if granted else [])]


READS_SECRETS = {"resources": ["secrets"], "verbs": ["get"]}
IN_FILE = [made("ConfigMap", "redis", data={"redis.conf": "appendonly yes\nrequirepass hunter2\n"})]
DELETES = {"resources": ["pods"], "verbs": ["get", "delete"]}
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
MORE = [
    {"name": "CODEFORGE_REDIS_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "codeforge-secrets", "key": "MORE"}}}
]
OTHER = [{"name": "CODEFORGE_REDIS_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "other", "key": "MORE"}}}]

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

BREAKS = (
    Break(schemas, "Deployment", API, "spec.replica", 3, "replica"),
    Break(schemas, "Deployment", API, f"{CONTAINER}.ports.0.containerPort", "8080", "is not of type 'integer'"),
    Break(schemas, "Deployment", API, "spec.selector", None, "'selector' is a required property"),
    Break(schemas, "ScaledObject", SCRAPE, "spec.maxReplicas", 3, "maxReplicas"),
    Break(schemas, "ScaledObject", SCRAPE, "spec.triggers.0.metadata.listLength", 25, "is not of type 'string'"),
    Break(schemas, "ScaledObject", SCRAPE, "kind", "ScaledThing", "Couldn't find schema"),
    Break(schemas, "", "", "", [STRANGER], "Couldn't find schema"),
    Break(references.unique, "", "", "", [SECRET | {"metadata": {"name": "x"}}], "is not in the namespace"),
    Break(references.unique, "Deployment", "flower", "metadata.name", "reaper", "stands twice"),
    Break(references.selectors, "Deployment", API, "spec.selector.matchLabels", {"app": "api"}, "own pods"),
    Break(references.selectors, "Service", f"{API}-service", "spec.selector", {"app": "api"}, "no pod has the labels"),
    Break(references.selectors, "PodDisruptionBudget", API, "spec.selector.matchLabels", {"a": "b"}, "one workload"),
    Break(references.ports, "Service", f"{API}-service", "spec.ports.0.targetPort", "web", "has no port web"),
    Break(references.ports, "Deployment", "flower", f"{CONTAINER}.livenessProbe.httpGet.port", 80, "asks port 80"),
    Break(references.secret_keys, "Deployment", "reaper", f"{CONTAINER}.env", MORE, "MORE is used, but not documented"),
    Break(references.secret_keys, "Deployment", "reaper", f"{CONTAINER}.env", OTHER, "no Secret other is documented"),
    Break(references.existing, "Deployment", API, f"{CONTAINER}.envFrom.0.configMapRef.name", "x", "no ConfigMap x"),
    Break(references.existing, "Deployment", API, f"{CONTAINER}.volumeMounts.0.name", "x", "no volume x"),
    Break(references.existing, "Deployment", API, "spec.template.spec.serviceAccountName", "x", "no ServiceAccount x"),
    Break(references.existing, "Deployment", API, "spec.template.spec.volumes.0", CLAIM, "no PersistentVolumeClaim x"),
    Break(references.existing, "Deployment", API, f"{CONTAINER}.env.0", KEY_OF_CONFIG, "has no key X"),
    Break(references.existing, "ScaledObject", SCRAPE, "spec.scaleTargetRef.name", "x", "no Deployment x"),
    Break(
        references.existing, "ScaledObject", SCRAPE, "spec.triggers.1.authenticationRef", None, "TriggerAuthentication"
    ),
    Break(references.existing, "Deployment", API, "spec.template.spec.priorityClassName", "x", "no PriorityClass x"),
    Break(references.existing, "Deployment", API, f"{CONTAINER}.volumeMounts", [], "nothing mounts volume tmp"),
    Break(references.existing, "", "", "", UNKEPT, "no headless Service redis"),
    Break(references.existing, "Deployment", API, "spec.template.spec.volumes.0", OF_CONFIG, "has no key x"),
    Break(references.ports, "", "", "", ENDLESS, "no Service x with port 80"),
    Break(storage.quantities, "Deployment", API, f"{CONTAINER}.resources.requests.memory", "1GB", "memory is 1GB"),
    Break(storage.quantities, "Deployment", API, f"{CONTAINER}.resources.limits.memory", "512m", "memory is 512m"),
    Break(storage.quantities, "Deployment", API, "spec.template.spec.volumes.0.emptyDir.sizeLimit", "64", "is 64"),
    Break(storage.quantities, "Deployment", API, f"{CONTAINER}.resources.requests.cpu", "1/4", "cpu is 1/4"),
    Break(storage.claims, "", "", "", SHARED_CLAIM, "3 pods share the claim one"),
    Break(storage.claims, "", "", "", ROLLED_CLAIM, "a rollout starts a second pod"),
    Break(storage.kept, "", "", "", UNKEPT, "no volumeClaimTemplates"),
    Break(rights.tokens, "", "", "", bound("Role", "nobody"), "no pod uses it"),
    Break(rights.tokens, "", "", "", bound("Role", "codeforge"), "shares the account codeforge"),
    Break(rights.roles, "", "", "", bound("Role", "codeforge"), "there is no Role x"),
    Break(rights.roles, "", "", "", bound("ClusterRole", "reaper", READS_SECRETS), "reaper may get secrets"),
    Break(rights.roles, "", "", "", bound("Role", "reaper", DELETES), "reaper may delete pods"),
    Break(scaling.utilization, "", "", "", [HPA], "from 4 to 3 pods"),
    Break(scaling.utilization, "", "", "", [BY_GPU], "requests no gpu"),
    Break(scaling.replicas, "Deployment", SCRAPE, "spec.replicas", 1, "beside a scaler"),
    Break(scaling.replicas, "Deployment", API, "spec.replicas", None, "neither"),
    Break(scaling.replicas, "", "", "", [HPA], "more than one"),
    Break(scaling.formulas, "ScaledObject", SCRAPE, "spec.triggers.1.name", None, "the triggers are"),
    Break(scaling.formulas, "ScaledObject", SCRAPE, "spec.advanced.scalingModifiers.formula", "queued", "formula"),
    Break(scaling.formulas, "ScaledObject", SCRAPE, "spec.advanced.scalingModifiers.target", "2.5", "whole number"),
    Break(scaling.formulas, "ScaledObject", SCRAPE, "spec.fallback", None, "no fallback"),
    Break(scaling.formulas, "ScaledObject", SCRAPE, "metadata.name", "a" * 55, "longer than 54"),
    Break(scaling.formulas, "ScaledObject", SCRAPE, "spec.minReplicaCount", 21, "above maxReplicaCount"),
    Break(scaling.triggers, "ScaledObject", SCRAPE, "spec.triggers.0.metadata.listname", "x", "metadata of redis"),
    Break(
        scaling.triggers, "ScaledObject", SCRAPE, "spec.triggers.0.metadata.address", "redis-service:6379", "address"
    ),
    Break(scaling.triggers, "ScaledObject", SCRAPE, "spec.triggers.0.type", "cpu", "metadata of cpu"),
    Break(scaling.triggers, "ScaledObject", SCRAPE, "spec.triggers.0", ASKS_ELSEWHERE, "asks ('http://api', "),
    Break(scaling.worker_scaling, "ScaledObject", SCRAPE, "spec.triggers.0.metadata.listName", "scrape", "reads"),
    Break(scaling.worker_scaling, "ScaledObject", SCRAPE, "spec.advanced.scalingModifiers.target", "50", "25 slots"),
    Break(
        scaling.worker_scaling,
        "ScaledObject",
        SCRAPE,
        "spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.stabilizationWindowSeconds",
        0,
        "scales in at once",
    ),
    Break(
        scaling.projector_scaling,
        "ConfigMap",
        "codeforge-config",
        "data.CODEFORGE_OUTBOX_PARTITIONS",
        "8",
        "8 partitions",
    ),
    Break(scaling.projector_scaling, "ScaledObject", PROJECTOR, "spec.minReplicaCount", 0, "between one pod and 4"),
    Break(scaling.projector_scaling, "ScaledObject", PROJECTOR, "spec.maxReplicaCount", 9, "between one pod and 4"),
    Break(scaling.grace, "Deployment", SCRAPE, "spec.template.spec.terminationGracePeriodSeconds", 25, "after 25 s"),
    Break(scaling.grace, "ConfigMap", "codeforge-config", "data.CODEFORGE_DRAIN_S", "300", "drains for 300 s"),
    Break(scaling.budgets, "PodDisruptionBudget", API, "spec.minAvailable", 3, "ever be evicted"),
    Break(scaling.budgets, "PodDisruptionBudget", SCRAPE, "spec.maxUnavailable", 0, "ever be evicted"),
    Break(scaling.budgets, "Deployment", "flower", "spec.replicas", 2, "no PodDisruptionBudget"),
    Break(
        safety.contract_names,
        "Service",
        f"{API}-service",
        "metadata.name",
        "api",
        "agent-orchestrator-service is missing",
    ),
    Break(safety.contract_names, "ScaledObject", SCRAPE, "metadata.name", "scrape", "missing or too many"),
    Break(
        safety.contract_names, "ConfigMap", "codeforge-config", "data.CODEFORGE_REDIS_HOST", "redis", "redis-service"
    ),
    Break(safety.images, "Deployment", API, f"{CONTAINER}.image", "codeforge-api", "is not pinned"),
    Break(safety.images, "Deployment", API, f"{CONTAINER}.image", "codeforge-api:latest", "is not pinned"),
    Break(safety.images, "Deployment", API, f"{CONTAINER}.image", "host:5000/codeforge-api", "is not pinned"),
    Break(safety.images, "Deployment", API, f"{CONTAINER}.image", "codeforge-api:9.9.9", "is not version"),
    Break(safety.plain_secrets, "", "", "", [SECRET], "a Secret in git"),
    Break(safety.plain_secrets, "Deployment", "reaper", f"{CONTAINER}.env", PLAIN, "in plain sight"),
    Break(safety.plain_secrets, "", "", "", IN_FILE, "secret in plain sight: requirepass"),
    Break(
        safety.plain_secrets,
        "Deployment",
        API,
        f"{CONTAINER}.env.0",
        {"name": "GF_SECURITY_ADMIN_PASSWORD", "value": "x"},
        "GF_SECURITY_ADMIN_PASSWORD is a secret",
    ),
    Break(safety.plain_secrets, "ConfigMap", "codeforge-config", "data.CODEFORGE_REDIS_URL", "redis://x", "is secret"),
    Break(safety.secrets, "Deployment", "reaper", f"{CONTAINER}.env", FOREIGN, "missing or too many"),
    Break(safety.secrets, "Deployment", SCRAPE, f"{CONTAINER}.env.2.valueFrom.secretKeyRef.optional", True, "optional"),
    Break(safety.secrets, "Deployment", API, f"{CONTAINER}.env.1.valueFrom.secretKeyRef.key", "KEYS", "the key KEYS"),
    Break(safety.settings, "ConfigMap", "codeforge-config", "data.CODEFORGE_DRAIN", "25", "no setting CODEFORGE_DRAIN"),
    Break(safety.settings, "ConfigMap", "codeforge-config", "data.CODEFORGE_LEASE_S", "soon", "CODEFORGE_LEASE_S"),
    Break(safety.settings, "ConfigMap", "codeforge-config", "data.CODEFORGE_EMBEDDINGS_BASE_URL", "", "no embeddings"),
    Break(safety.settings, "Deployment", SCRAPE, f"{CONTAINER}.env.0.value", "coding", "serves coding"),
    Break(safety.hardening, "Deployment", API, "spec.template.spec.enableServiceLinks", True, "enableServiceLinks"),
    Break(safety.hardening, "Deployment", API, "spec.template.spec.securityContext.runAsUser", 0, "runAsNonRoot"),
    Break(safety.hardening, "Deployment", API, "spec.template.spec.securityContext.seccompProfile", None, "seccomp"),
    Break(
        rights.tokens,
        "Deployment",
        API,
        "spec.template.spec.automountServiceAccountToken",
        True,
        "its account has rights: False",
    ),
    Break(safety.hardening, "Deployment", API, "spec.template.spec.hostNetwork", True, "host namespaces"),
    Break(safety.hardening, "Deployment", API, "spec.template.spec.volumes.0.hostPath", {"path": "/"}, "hostPath"),
    Break(safety.hardening, "Deployment", API, f"{CONTAINER}.securityContext.capabilities", None, "capabilities"),
    Break(safety.hardening, "Deployment", API, f"{CONTAINER}.securityContext.privileged", True, "privileged"),
    Break(
        safety.hardening, "Deployment", API, f"{CONTAINER}.securityContext.readOnlyRootFilesystem", False, "readOnly"
    ),
    Break(safety.hardening, "Deployment", API, f"{CONTAINER}.securityContext.allowPrivilegeEscalation", True, "allow"),
    Break(safety.hardening, "Deployment", API, f"{CONTAINER}.volumeMounts", [], "/tmp"),
    Break(safety.resources, "Deployment", API, f"{CONTAINER}.resources", {}, "no proper cpu and memory"),
    Break(safety.resources, "Deployment", API, f"{CONTAINER}.resources.limits.memory", "1GB", "no proper"),
    Break(safety.resources, "Deployment", API, f"{CONTAINER}.resources.limits.memory", "128Mi", "makes no sense"),
    Break(safety.probes, "", "", "", UNKEPT, "redis has no startupProbe"),
    Break(
        safety.probes,
        "",
        "",
        "",
        [
            server(
                "Deployment",
                "x",
                {"container": {"livenessProbe": {"exec": {"command": ["cypher-shell", "RETURN 1"]}}}},
                replicas=1,
            )
        ],
        "starts a whole runtime",
    ),
    Break(
        safety.probes, "Deployment", SCRAPE, f"{CONTAINER}.livenessProbe.exec.command", ["celery"], "livenessProbe is"
    ),
    Break(safety.probes, "Deployment", SCRAPE, f"{CONTAINER}.startupProbe", None, "startupProbe is"),
    Break(safety.probes, "Deployment", API, f"{CONTAINER}.livenessProbe.httpGet.path", "/readyz", "livenessProbe is"),
    Break(safety.probes, "Deployment", API, f"{CONTAINER}.readinessProbe", None, "readinessProbe asks None"),
)
