"""The Kubernetes base obeys the rules, and every rule catches what it is there for."""

import copy
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from codeforge.worker_types import WorkerType
from tests.deploy import references, safety, scaling
from tests.deploy.facts import load_yaml
from tests.deploy.manifests import BASE, Resource, Stack, find, kustomization, load_stack, pod_of, title
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
    scaling.replicas,
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
    """One change that makes the base wrong: `path` in a resource is set to `value`, or removed where that is None.
    An empty path adds `value` as a resource. `said` is what the rule must answer."""

    rule: Rule
    kind: str
    name: str
    path: str
    value: Any
    said: str

    def apply(self, stack: Stack) -> None:
        """Breaks the stack."""
        if not self.path:
            stack.append(self.value)
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
    "spec": {"scaleTargetRef": {"name": SCRAPE}, "maxReplicas": 3},
}
STRANGER: Resource = {"apiVersion": "example.org/v1", "kind": "Gadget", "metadata": {"name": "x"}}
CLAIM = {"name": "tmp", "persistentVolumeClaim": {"claimName": "x"}}
KEY_OF_CONFIG = {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "codeforge-config", "key": "X"}}}
PLAIN = [{"name": "CODEFORGE_REDIS_PASSWORD", "value": "hunter2"}]
FOREIGN = [
    {
        "name": "CODEFORGE_LLM_API_KEY",
        "valueFrom": {"secretKeyRef": {"name": "codeforge-secrets", "key": "LLM_API_KEY"}},
    }
]
OTHER = [{"name": "CODEFORGE_REDIS_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "other", "key": "MORE"}}}]

BREAKS = (
    Break(schemas, "Deployment", API, "spec.replica", 3, "replica"),
    Break(schemas, "Deployment", API, f"{CONTAINER}.ports.0.containerPort", "8080", "is not of type 'integer'"),
    Break(schemas, "Deployment", API, "spec.selector", None, "'selector' is a required property"),
    Break(schemas, "ScaledObject", SCRAPE, "spec.maxReplicas", 3, "maxReplicas"),
    Break(schemas, "ScaledObject", SCRAPE, "spec.triggers.0.metadata.listLength", 25, "is not of type 'string'"),
    Break(schemas, "ScaledObject", SCRAPE, "kind", "ScaledThing", "Couldn't find schema"),
    Break(schemas, "", "", "", STRANGER, "Couldn't find schema"),
    Break(references.unique, "", "", "", SECRET | {"metadata": {"name": "x"}}, "is not in the namespace"),
    Break(references.unique, "Deployment", "flower", "metadata.name", "reaper", "stands twice"),
    Break(references.selectors, "Deployment", API, "spec.selector.matchLabels", {"app": "api"}, "own pods"),
    Break(references.selectors, "Service", f"{API}-service", "spec.selector", {"app": "api"}, "no pod has the labels"),
    Break(references.selectors, "PodDisruptionBudget", API, "spec.selector.matchLabels", {"a": "b"}, "one workload"),
    Break(references.ports, "Service", f"{API}-service", "spec.ports.0.targetPort", "web", "has no port web"),
    Break(references.ports, "Deployment", "flower", f"{CONTAINER}.livenessProbe.httpGet.port", 80, "asks port 80"),
    Break(
        references.secret_keys, "Deployment", "reaper", f"{CONTAINER}.env", OTHER, "MORE is used, but not documented"
    ),
    Break(references.secret_keys, "Deployment", "reaper", f"{CONTAINER}.env", OTHER, "no Secret other is documented"),
    Break(references.secret_keys, "Deployment", "flower", f"{CONTAINER}.env", [], "documented, but not used"),
    Break(references.existing, "Deployment", API, f"{CONTAINER}.envFrom.0.configMapRef.name", "x", "no ConfigMap x"),
    Break(references.existing, "Deployment", API, f"{CONTAINER}.volumeMounts.0.name", "x", "no volume x"),
    Break(references.existing, "Deployment", API, "spec.template.spec.serviceAccountName", "x", "no ServiceAccount x"),
    Break(references.existing, "Deployment", API, "spec.template.spec.volumes.0", CLAIM, "no PersistentVolumeClaim x"),
    Break(references.existing, "Deployment", API, f"{CONTAINER}.env.0", KEY_OF_CONFIG, "has no key X"),
    Break(references.existing, "ScaledObject", SCRAPE, "spec.scaleTargetRef.name", "x", "no Deployment x"),
    Break(
        references.existing, "ScaledObject", SCRAPE, "spec.triggers.1.authenticationRef", None, "TriggerAuthentication"
    ),
    Break(scaling.replicas, "Deployment", SCRAPE, "spec.replicas", 1, "beside a ScaledObject"),
    Break(scaling.replicas, "Deployment", API, "spec.replicas", None, "neither"),
    Break(scaling.replicas, "", "", "", HPA, "more than one"),
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
    Break(safety.contract_names, "Service", f"{API}-service", "metadata.name", "api", "missing or too many"),
    Break(
        safety.contract_names, "ConfigMap", "codeforge-config", "data.CODEFORGE_REDIS_HOST", "redis", "redis-service"
    ),
    Break(safety.contract_names, "Deployment", API, "spec.replicas", 1, "1 replicas"),
    Break(safety.images, "Deployment", API, f"{CONTAINER}.image", "codeforge-api", "is not pinned"),
    Break(safety.images, "Deployment", API, f"{CONTAINER}.image", "codeforge-api:latest", "is not pinned"),
    Break(safety.images, "Deployment", API, f"{CONTAINER}.image", "host:5000/codeforge-api", "is not pinned"),
    Break(safety.images, "Deployment", API, f"{CONTAINER}.image", "codeforge-api:9.9.9", "is not version"),
    Break(safety.plain_secrets, "", "", "", SECRET, "a Secret in git"),
    Break(safety.plain_secrets, "Deployment", "reaper", f"{CONTAINER}.env", PLAIN, "in plain sight"),
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
        safety.hardening,
        "Deployment",
        API,
        "spec.template.spec.automountServiceAccountToken",
        True,
        "ServiceAccountToken",
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
    Break(
        safety.probes, "Deployment", SCRAPE, f"{CONTAINER}.livenessProbe.exec.command", ["celery"], "livenessProbe is"
    ),
    Break(safety.probes, "Deployment", SCRAPE, f"{CONTAINER}.startupProbe", None, "startupProbe is"),
    Break(safety.probes, "Deployment", API, f"{CONTAINER}.livenessProbe.httpGet.path", "/readyz", "livenessProbe is"),
    Break(safety.probes, "Deployment", API, f"{CONTAINER}.readinessProbe", None, "readinessProbe asks None"),
)


@pytest.fixture(scope="module")
def base() -> Stack:
    return load_stack()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_base_obeys(base: Stack, rule: Rule) -> None:
    assert list(rule(base)) == []


@pytest.mark.parametrize("broken", BREAKS, ids=str)
def test_the_rule_catches(base: Stack, broken: Break) -> None:
    stack = copy.deepcopy(base)
    broken.apply(stack)
    found = list(broken.rule(stack))
    assert any(broken.said in line for line in found), found


def test_every_rule_is_proved() -> None:
    assert {broken.rule for broken in BREAKS} == set(RULES)


def test_the_kustomization_lists_every_file_and_does_nothing_else() -> None:
    files = {path.relative_to(BASE).as_posix() for path in BASE.rglob("*.yaml")} - {"kustomization.yaml"}
    assert sorted(kustomization()["resources"]) == sorted(files)
    assert set(kustomization()) == {"apiVersion", "kind", "resources"}


def test_a_file_holds_one_resource() -> None:
    for path in BASE.rglob("*.yaml"):
        assert len(list(yaml.safe_load_all(path.read_text(encoding="utf-8")))) == 1


def test_workers_differ_by_their_type_alone() -> None:
    for path in (BASE / "agent-worker-scrape").glob("*.yaml"):
        for worker_type in WorkerType:
            text = (BASE / f"agent-worker-{worker_type}" / path.name).read_text(encoding="utf-8")
            assert text.replace(worker_type, "scrape") == path.read_text(encoding="utf-8")


def test_a_repeated_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "twice.yaml").write_text("a: 1\nb: {c: 1, c: 2}\n")
    with pytest.raises(yaml.constructor.ConstructorError, match="repeated key c"):
        load_yaml(tmp_path / "twice.yaml")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl: the base is rendered by the tests alone")
def test_kubectl_renders_the_same(base: Stack) -> None:
    command = ["kubectl", "kustomize", str(BASE)]
    rendered = subprocess.run(command, capture_output=True, timeout=60, check=True, text=True).stdout
    assert sorted(yaml.safe_load_all(rendered), key=title) == sorted(base, key=title)


def test_slots_of_all_pods_make_the_agents_that_are_promised(base: Stack) -> None:
    for worker_type in WorkerType:
        scaled = find(base, "ScaledObject", f"agent-worker-{worker_type}")["spec"]
        assert scaled["maxReplicaCount"] * int(scaled["advanced"]["scalingModifiers"]["target"]) >= 500
        assert len(pod_of(find(base, "Deployment", f"agent-worker-{worker_type}"))["containers"]) == 1
