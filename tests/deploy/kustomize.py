"""The kustomizations: rendered by kubectl as a cluster would get them, and walked for what it lets pass in silence."""

import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from tests.deploy.facts import ROOT, load_yaml
from tests.deploy.manifests import Resource, Stack, containers_of, workloads

K8S = ROOT / "deploy" / "k8s"
BASE = K8S / "base"
KUBECTL = Path(sys.executable).with_name("kubectl")
RENDER_S = 60.0
DIRECTORIES = ("resources", "components")
GENERATED = {"configMapGenerator": "ConfigMap", "secretGenerator": "Secret"}


def kustomization(directory: Path) -> Resource:
    """What `kubectl kustomize` reads there."""
    content: Resource = load_yaml(directory / "kustomization.yaml")
    return content


def overlays() -> list[Path]:
    """The directories that can be applied as they are."""
    return sorted(path.parent for path in (K8S / "overlays").glob("*/kustomization.yaml"))


def components() -> list[Path]:
    """The opt-in parts, which an overlay adds."""
    return sorted(path.parent for path in (K8S / "components").rglob("kustomization.yaml"))


def render(directory: Path) -> Stack:
    """What a cluster would get. Raises RuntimeError with kubectl's words where it refuses."""
    command = [str(KUBECTL), "kustomize", str(directory)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=RENDER_S, check=False)
    if result.returncode:
        raise RuntimeError(f"{directory.name}: {result.stderr.strip()}")
    return list(yaml.load_all(result.stdout, yaml.CSafeLoader))


def render_with(overlay: Path, component: Path) -> Stack:
    """The overlay with a component that it does not name itself."""
    with TemporaryDirectory() as name:
        directory = Path(name).resolve()
        parts = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(overlay, directory)],
            "components": [os.path.relpath(component, directory)],
        }
        (directory / "kustomization.yaml").write_text(yaml.safe_dump(parts))
        return render(directory)


def parts_of(directory: Path) -> Iterator[Path]:
    """The directory, and every one that it is made of, each once."""
    seen: set[Path] = set()
    waiting = [directory.resolve()]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        yield current
        content = kustomization(current)
        entries = [entry for kind in DIRECTORIES for entry in content.get(kind, [])]
        waiting += [(current / entry).resolve() for entry in entries if (current / entry).is_dir()]


@cache
def _rendering(name: str) -> bytes:
    overlay, _, added = name.partition("+")
    directory = K8S / "overlays" / overlay
    stack = render_with(directory, K8S / "components" / added) if added else render(directory)
    return pickle.dumps(stack)


def rendering(name: str) -> Stack:
    """A copy of the rendering of that name, to be read or broken."""
    stack: Stack = pickle.loads(_rendering(name))
    return stack


def rendering_names() -> list[str]:
    """All that is checked: each overlay, and on the first one each component that no overlay has of itself, but for
    what is made of files that git ignores."""
    used = {part for overlay in overlays() for part in parts_of(overlay)}
    used |= {path.resolve() for path in components() if "secretGenerator" in kustomization(path)}
    first = overlays()[0].name
    opt_in = [path.relative_to(K8S / "components").as_posix() for path in components() if path.resolve() not in used]
    return [path.name for path in overlays()] + [f"{first}+{name}" for name in opt_in]


def raw_resources(directory: Path) -> Stack:
    """All resources before any patch, the generated ones by name."""
    stack: Stack = []
    for part in parts_of(directory):
        content = kustomization(part)
        for entry in content.get("resources", []):
            if (part / entry).is_file():
                stack += yaml.safe_load_all((part / entry).read_text(encoding="utf-8"))
        for generator, kind in GENERATED.items():
            stack += [{"kind": kind, "metadata": {"name": made["name"]}} for made in content.get(generator, [])]
    return stack


def _fits(target: dict[str, Any], resource: Resource) -> bool:
    group, _, version = resource.get("apiVersion", "").rpartition("/")
    metadata = resource["metadata"]
    facts = {
        "group": group,
        "version": version,
        "kind": resource["kind"],
        "name": metadata["name"],
        "namespace": metadata.get("namespace", ""),
    }
    labels = metadata.get("labels", {})
    wanted = [pair.partition("=") for pair in target.get("labelSelector", "").split(",") if pair]
    return all(re.fullmatch(target[key], value) for key, value in facts.items() if target.get(key)) and all(
        labels.get(name.strip()) == value.strip("= ") for name, _, value in wanted
    )


def unmatched(directory: Path) -> Iterator[str]:
    """Patches, replacements and images of its parts whose target is nothing: kubectl passes over them in silence."""
    stack = raw_resources(directory)
    images = {container["image"].rpartition(":")[0] for item in workloads(stack) for container in containers_of(item)}
    for part in parts_of(directory):
        content = kustomization(part)
        targets = [patch["target"] for patch in content.get("patches", []) if "target" in patch]
        for replacement in content.get("replacements", []):
            targets += [target["select"] for target in replacement.get("targets", [])]
        for target in targets:
            if not any(_fits(target, resource) for resource in stack):
                yield f"{part.name}: a patch's target is nothing: {target}"
        for image in content.get("images", []):
            if image["name"] not in images:
                yield f"{part.name}: no container has the image {image['name']}"


def unlisted(directory: Path) -> Iterator[str]:
    """YAML files beside a kustomization, down to the next one, that it names nowhere: nobody would ever apply them."""
    text = (directory / "kustomization.yaml").read_text(encoding="utf-8")
    inner = {path.parent for path in directory.rglob("kustomization.yaml")} - {directory}
    for path in sorted(directory.rglob("*.yaml")):
        name = path.relative_to(directory).as_posix()
        if path.name != "kustomization.yaml" and not inner & set(path.parents) and name not in text:
            yield f"{directory.name}: {name} is not in the kustomization"
