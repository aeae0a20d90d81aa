"""Manifests of one worker, as a test needs them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from codeforge.capacity.behavior import Behavior
from codeforge.capacity.formula import Formula
from codeforge.capacity.keda import Modifiers, ScaledObject, Trigger
from codeforge.capacity.workloads import Deployment, Workload
from codeforge.worker_types import WorkerType

BASE = Path(__file__).parents[3] / "deploy" / "k8s" / "base"


def worker(
    *, slots: int = 10, least: int = 0, most: int = 10, behavior: Behavior | None = None, hands_back: bool = True
) -> Workload:
    """A coding worker that KEDA scales by what waits and runs."""
    triggers = [Trigger("queued", "cf:queued:coding", slots), Trigger("running", "cf:running:coding", slots)]
    scaled = ScaledObject(
        "w",
        "w",
        triggers,
        modifiers=Modifiers(Formula("queued + running"), slots),
        polling_s=5.0,
        min_replicas=least,
        max_replicas=most,
        behavior=behavior or Behavior(),
    )
    return Workload("w", (WorkerType.CODING,), slots, 0.25, 2.0**28, grace_s=60.0, hands_back=hands_back, scaler=scaled)


def deployment(**fields: Any) -> Deployment:
    """That worker alone."""
    return Deployment([worker(**fields)])


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base as one file; it has resources only, so rendering is reading."""
    names = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    path = tmp_path_factory.mktemp("capacity") / "rendered.yaml"
    path.write_text("\n---\n".join((BASE / name).read_text() for name in names))
    return path
