"""The table of deploy/k8s/overlays/README.md, made from what the overlays ask for: `python -m tests.deploy.sizes`."""

import math
from collections.abc import Iterator

from tests.deploy.kustomize import K8S, rendering
from tests.deploy.manifests import Resource, Stack, containers_of, environment_of, find, lasting, of_kind, pod_of
from tests.deploy.storage import amount

PAGE = K8S / "overlays" / "README.md"
BEGIN, END = "<!-- made by tests/deploy/sizes.py -->", "<!-- end -->"
FIRST_DESIGN = (500, 40, 80)
"""Agents, and the cores and GB that the first design budgets for them; for other numbers in proportion."""

GIB = 2**30


def requests(workload: Resource) -> tuple[float, float]:
    """Cores and bytes that the scheduler sets aside for a pod."""
    containers = pod_of(workload)["containers"]
    asked = [container["resources"]["requests"] for container in containers]
    return sum(amount(one["cpu"]) or 0 for one in asked), sum(amount(one["memory"]) or 0 for one in asked)


def pods(stack: Stack, busy: bool) -> Iterator[tuple[Resource, int]]:
    """How many pods of each workload there are with nothing to do, or with as many agents as may be."""
    scaled = {one["spec"]["scaleTargetRef"]["name"]: one["spec"] for one in of_kind(stack, "ScaledObject")}
    for workload in lasting(stack):
        name = workload["metadata"]["name"]
        if name not in scaled:
            yield workload, workload["spec"]["replicas"]
        elif name == "projector":
            yield workload, scaled[name]["maxReplicaCount" if busy else "minReplicaCount"]
        elif name == "agent-worker-coding" and busy:  # all of one type is as many pods as any mix, but for the last
            slots = int(environment_of(stack, containers_of(workload)[0])["CODEFORGE_MAX_CONCURRENT_TASKS"])
            yield workload, min(math.ceil(agents(stack) / slots), scaled[name]["maxReplicaCount"])


def agents(stack: Stack) -> int:
    """How many may run at once."""
    return int(find(stack, "ConfigMap", "codeforge-config")["data"]["CODEFORGE_MAX_AGENTS"])


def total(stack: Stack, busy: bool) -> str:
    """Cores and GiB of all pods together."""
    each = [(count, *requests(workload)) for workload, count in pods(stack, busy)]
    cpu, memory = (sum(count * one[part] for count, *one in each) for part in (0, 1))
    return f"{cpu:.1f} cores, {memory / GIB:.1f} GiB"


def row(name: str) -> str:
    """One overlay."""
    stack = rendering(name)
    count, (of, cores, gigabytes) = agents(stack), FIRST_DESIGN
    design = f"{cores * count / of:g} cores, {gigabytes * count / of:g} GB"
    workers = [one for one in pods(stack, True) if one[0]["metadata"]["name"] == "agent-worker-coding"]
    ((worker, at_once),) = workers
    cpu, memory = requests(worker)
    return (
        f"| `{name}` | {count} | {design} | {total(stack, True)} | {total(stack, False)} |"
        f" {at_once} pods, {at_once * cpu:g} cores, {at_once * memory / GIB:g} GiB |"
    )


def page() -> str:
    """The page with the table of today."""
    head = "| overlay | agents | first design | all busy | idle | of it workers, busy |\n|---|---:|---:|---:|---:|---:|"
    table = "\n".join([head, *map(row, ("small", "medium", "large", "local"))])
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
