"""Reads what a deployment's rendered manifests say about capacity."""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from codeforge.capacity.fields import Fields
from codeforge.capacity.keda import ScaledObject
from codeforge.capacity.scaler_manifests import plain_hpa, scaled_object
from codeforge.capacity.workloads import Deployment, PlainHpa, Workload
from codeforge.errors import CapacityError
from codeforge.settings.groups import WorkerSettings
from codeforge.worker_types import served_types

RENDER_S = 60
RENDERERS = (("kubectl", "kustomize"), ("kustomize", "build"))
WORKLOADS = ("Deployment", "StatefulSet")
GRACE_S = 30
"""Kubernetes' default of `terminationGracePeriodSeconds`."""


def read_deployment(source: str) -> Deployment:
    """A file of rendered YAML, `-` for standard input, or a directory: one with a kustomization is rendered by kubectl
    or kustomize. Raises CapacityError."""
    return deployment_of(_documents(_text(source), source))


def _text(source: str) -> str:
    path = Path(source)
    try:
        if source == "-":
            return sys.stdin.read()
        if not path.is_dir():
            return path.read_text(encoding="utf-8")
        if (path / "kustomization.yaml").exists():
            return _rendered(path)
        return "\n---\n".join(file.read_text(encoding="utf-8") for file in sorted(path.rglob("*.y*ml")))
    except (OSError, UnicodeDecodeError) as error:
        raise CapacityError(f"--manifests {source}: {getattr(error, 'strerror', None) or 'is no text'}") from error


def _rendered(directory: Path) -> str:
    tools = [(binary, verb) for name, verb in RENDERERS if (binary := shutil.which(name)) is not None]
    if not tools:
        raise CapacityError(f"--manifests {directory}: rendering needs kubectl or kustomize; or give rendered YAML")
    command = [*tools[0], str(directory.resolve())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=RENDER_S, check=False)  # noqa: S603 - a fixed command on the operator's own directory
    except subprocess.TimeoutExpired as error:
        raise CapacityError(f"--manifests {directory}: not rendered within {RENDER_S} s") from error
    if done.returncode:
        raise CapacityError(f"--manifests {directory}: {done.stderr.strip() or 'cannot be rendered'}")
    return done.stdout


def _documents(text: str, source: str) -> list[Fields]:
    try:
        import yaml
    except ImportError as error:
        raise CapacityError("reading manifests needs PyYAML: pip install 'codeforge[capacity]'") from error
    try:
        loaded: list[Any] = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        raise CapacityError(f"--manifests {source}: no YAML: {' '.join(str(error).split())[:200]}") from error
    return [_resource(document, f"--manifests {source}: document {n}") for n, document in enumerate(loaded, 1)]


def _resource(document: object, place: str) -> Fields:
    fields = Fields(document, place)
    name = fields.under("metadata").text("name") if "metadata" in fields else "?"
    return Fields(document, f"{fields.text('kind')}/{name}")


def deployment_of(resources: Sequence[Fields]) -> Deployment:
    """The workloads, each with its scaler. Raises CapacityError."""
    config = {
        resource.under("metadata").text("name"): resource
        for resource in resources
        if resource.text("kind") == "ConfigMap"
    }
    scalers: dict[str, ScaledObject | PlainHpa] = {}
    for resource in resources:
        if resource.text("kind") == "ScaledObject":
            scalers[resource.under("spec").under("scaleTargetRef").text("name")] = scaled_object(resource)
        elif resource.text("kind") == "HorizontalPodAutoscaler":
            hpa = plain_hpa(resource)
            if hpa.target in scalers:
                raise resource.under("spec").wrong("scaleTargetRef", f"{hpa.target} has another scaler already")
            scalers[hpa.target] = hpa
    workloads = [_workload(resource, config, scalers) for resource in resources if resource.text("kind") in WORKLOADS]
    unknown = scalers.keys() - {workload.name for workload in workloads}
    if unknown:
        raise CapacityError(f"spec.scaleTargetRef.name: there is no {' and no '.join(sorted(unknown))}")
    if not any(workload.slots for workload in workloads):
        raise CapacityError("the manifests hold no worker: no Deployment whose pods have CODEFORGE_WORKER_TYPE")
    return Deployment(workloads)


def _workload(
    resource: Fields, config: Mapping[str, Fields], scalers: Mapping[str, ScaledObject | PlainHpa]
) -> Workload:
    name = resource.under("metadata").text("name")
    spec = resource.under("spec")
    pod = spec.under("template").under("spec")
    containers = list(pod.each("containers"))
    requests = [container.under("resources").under("requests") for container in containers]
    environment = _environment(containers, config)
    types = environment.text("CODEFORGE_WORKER_TYPE") if "CODEFORGE_WORKER_TYPE" in environment else None
    defaults = WorkerSettings.model_fields
    try:
        served = served_types(types) if types else ()
    except ValueError:
        raise environment.wrong("CODEFORGE_WORKER_TYPE", f"there is no type {types!r}") from None
    slots = environment.whole("CODEFORGE_MAX_CONCURRENT_TASKS", defaults["max_concurrent_tasks"].default, least=1)
    return Workload(
        name=name,
        types=served,
        slots=slots if served else 0,
        cpu=sum(request.amount("cpu", 0) for request in requests),
        memory=sum(request.amount("memory", 0) for request in requests),
        grace_s=pod.number("terminationGracePeriodSeconds", GRACE_S),
        drain_s=environment.number("CODEFORGE_DRAIN_S", defaults["drain_s"].default),
        replicas=spec.whole("replicas", 1),
        scaler=scalers.get(name),
    )


def _environment(containers: Sequence[Fields], config: Mapping[str, Fields]) -> Fields:
    """The plain variables of the containers: of their ConfigMaps, then their own."""
    values: dict[str, str] = {}
    for container in containers:
        for source in container.each("envFrom"):
            if "configMapRef" in source:
                name = source.under("configMapRef").text("name")
                data = config[name].under("data") if name in config else Fields({}, "")
                values |= {key: data.text(key) for key in data}
        for variable in container.each("env"):
            if "value" in variable:
                values[variable.text("name")] = variable.text("value")
    return Fields(values, f"{containers[0].where}.env" if containers else "env")
