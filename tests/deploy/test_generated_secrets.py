"""The component that makes codeforge-secrets from ignored files: its script, and what is rendered with it."""

import base64
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.facts import ROOT
from tests.deploy.kustomize import render_with
from tests.deploy.manifests import Stack, find
from tests.deploy.references import used_keys

COMPONENT = "components/generated-secrets"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """An overlay with the component, in a copy of the directory in which the script has run twice."""
    deploy = tmp_path_factory.mktemp("copy") / "deploy"
    shutil.copytree(ROOT / "deploy", deploy, ignore=shutil.ignore_patterns("secrets"))
    script = deploy / "k8s" / COMPONENT / "new-secrets.sh"
    printed = [subprocess.run(["sh", script], capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert [text.count("shown this once") for text in printed] == [1, 0]
    return render_with(deploy / "k8s" / "overlays" / "small", deploy / "k8s" / COMPONENT)


def values(stack: Stack) -> dict[str, bytes]:
    data = find(stack, "Secret", "codeforge-secrets")["data"]
    return {name: base64.b64decode(value) for name, value in data.items()}


def test_every_key_that_a_pod_needs_is_there(rendered: Stack) -> None:
    assert {key for _, _, key in used_keys(rendered)} <= set(values(rendered))


def test_no_value_ends_with_a_line_break(rendered: Stack) -> None:
    assert [name for name, value in values(rendered).items() if value != value.strip()] == []
    assert all(len(values(rendered)[name]) == 48 for name in ("REDIS_PASSWORD", "REDIS_SENTINEL_PASSWORD"))


def test_git_ignores_the_files() -> None:
    path = Path("deploy/k8s") / COMPONENT / "secrets" / "redis_password"
    subprocess.run(["git", "check-ignore", "--quiet", path], cwd=ROOT, check=True)
