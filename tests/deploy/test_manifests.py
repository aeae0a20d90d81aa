"""Every overlay obeys the rules, and each rule catches what it is there for."""

from functools import cache
from pathlib import Path

import pytest
import yaml

from codeforge.worker_types import WorkerType
from tests.deploy import sizes
from tests.deploy.breaks import BREAKS, RULES
from tests.deploy.broken import Break, Rule
from tests.deploy.facts import ROOT, load_yaml
from tests.deploy.kustomize import (
    BASE,
    K8S,
    components,
    kustomization,
    overlays,
    rendering,
    rendering_names,
    unlisted,
    unmatched,
)
from tests.deploy.manifests import find, names, pod_of
from tests.deploy.references import SECRET, documented_keys, used_keys
from tests.deploy.rule_table import PAGE, page


@cache
def whole() -> str:
    """The rendering that has most in it: what is broken to prove the rules."""
    return max((path.name for path in overlays()), key=lambda name: len(rendering(name)))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("name", rendering_names())
def test_what_is_rendered_obeys(name: str, rule: Rule) -> None:
    assert list(rule(rendering(name))) == []


@pytest.mark.parametrize("broken", BREAKS, ids=str)
def test_the_rule_catches(broken: Break) -> None:
    stack = rendering(whole())
    broken.apply(stack)
    found = list(broken.rule(stack))
    assert any(broken.said in line for line in found), found


def test_every_rule_is_proved() -> None:
    assert {broken.rule for broken in BREAKS} == set(RULES)


@pytest.mark.parametrize("name", [path.name for path in overlays()])
def test_no_patch_misses(name: str) -> None:
    (overlay,) = [path for path in overlays() if path.name == name]
    assert list(unmatched(overlay)) == []


def test_a_patch_that_misses_is_seen(tmp_path: Path) -> None:
    (tmp_path / "api.yaml").write_text(yaml.safe_dump(find(rendering(whole()), "Deployment", "agent-orchestrator")))
    content = {
        "resources": ["api.yaml"],
        "patches": [
            {"target": {"kind": "Deployment", "name": "agent-.*"}, "patch": "[]"},
            {"target": {"kind": "Deployment", "name": "agent"}, "patch": "[]"},
            {"target": {"kind": "StatefulSet"}, "patch": "[]"},
            {"target": {"labelSelector": "app.kubernetes.io/part-of=codeforge"}, "patch": "[]"},
            {"target": {"labelSelector": "app.kubernetes.io/part-of=other"}, "patch": "[]"},
        ],
        "replacements": [{"targets": [{"select": {"kind": "Service"}}]}],
        "images": [{"name": "codeforge-api"}, {"name": "codeforge-app"}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(content))
    said = list(unmatched(tmp_path))
    assert [
        part in line
        for part, line in zip(("'agent'", "StatefulSet", "=other", "Service", "codeforge-app"), said, strict=True)
    ] == [True] * 5


@pytest.mark.parametrize("directory", [BASE, *overlays(), *components()], ids=lambda path: path.name)
def test_the_kustomization_names_every_file(directory: Path) -> None:
    assert list(unlisted(directory)) == []


def test_a_file_that_nobody_names_is_seen(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [one.yaml]\n")
    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).write_text("{}\n")
    assert list(unlisted(tmp_path)) == [f"{tmp_path.name}: two.yaml is not in the kustomization"]


def test_a_key_stands_once_in_every_file() -> None:
    for path in K8S.rglob("*.yaml"):
        load_yaml(path)  # and a file holds one document


def test_a_repeated_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "twice.yaml").write_text("a: 1\nb: {c: 1, c: 2}\n")
    with pytest.raises(yaml.constructor.ConstructorError, match="repeated key c"):
        load_yaml(tmp_path / "twice.yaml")


def test_every_documented_key_of_the_secret_is_used() -> None:
    used = {key for name in rendering_names() for _, secret, key in used_keys(rendering(name)) if secret == SECRET}
    assert documented_keys() - used == set()


VECTOR_STORE_KEY = """\
            # Earlier results are looked up before the work is done again.
            - name: CODEFORGE_QDRANT_API_KEY
              valueFrom:
                secretKeyRef:
                  name: codeforge-secrets
                  key: QDRANT_READ_ONLY_API_KEY
"""


def test_workers_differ_by_their_type_and_what_analyses_look_into() -> None:
    for path in (BASE / "agent-worker-scrape").glob("*.yaml"):
        for worker_type in WorkerType:
            text = (BASE / f"agent-worker-{worker_type}" / path.name).read_text(encoding="utf-8")
            assert (VECTOR_STORE_KEY in text) is (worker_type is WorkerType.ANALYSIS and path.name == "deployment.yaml")
            assert text.replace(VECTOR_STORE_KEY, "").replace(worker_type, "scrape") == path.read_text(encoding="utf-8")


def test_slots_of_all_pods_make_the_agents_that_are_promised() -> None:
    stack = rendering(whole())
    assert names(stack, "ScaledObject")
    for worker_type in WorkerType:
        scaled = find(stack, "ScaledObject", f"agent-worker-{worker_type}")["spec"]
        assert scaled["maxReplicaCount"] * int(scaled["advanced"]["scalingModifiers"]["target"]) >= 500
        assert len(pod_of(find(stack, "Deployment", f"agent-worker-{worker_type}"))["containers"]) == 1


def test_the_page_lists_every_rule_and_what_it_catches() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run .venv/bin/python -m tests.deploy.rule_table"


def test_the_sizes_are_those_of_the_manifests() -> None:
    assert sizes.PAGE.read_text(encoding="utf-8") == sizes.page(), "run .venv/bin/python -m tests.deploy.sizes"


def test_every_rule_and_dashboard_is_mounted() -> None:
    directory = ROOT / "deploy" / "monitoring"
    named = [name for made in kustomization(directory)["configMapGenerator"] for name in made["files"]]
    found = [*directory.glob("prometheus/rules/*"), *directory.glob("grafana/dashboards/*")]
    assert sorted(named) == sorted(path.relative_to(directory).as_posix() for path in found)
