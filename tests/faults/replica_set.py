"""Which pods a ReplicaSet deletes first.

Source: kubernetes.io, "ReplicaSet", "Scaling a ReplicaSet" and "Pod deletion cost", and for what that page leaves open
the controller's own order (pkg/controller/controller_utils.go, ActivePodsWithRanks): without a node before with one,
pending before running, not ready before ready, lower deletion cost first, then of the node that has most of them, then
those that were ready for the shorter time, on a logarithmic scale; ties by chance.
"""

import math
import random
from collections import Counter
from datetime import UTC, datetime

from tests.servers.kubernetes import Object

COST = "controller.kubernetes.io/pod-deletion-cost"
PHASES = ("Pending", "Unknown", "Running")


def victims(pods: list[Object], count: int, rng: random.Random) -> list[str]:
    """The names of the `count` pods that go, the first one first."""
    crowds = Counter(pod["spec"].get("nodeName") for pod in pods)
    now = datetime.now(UTC)

    def rank(pod: Object) -> tuple[bool, int, bool, int, int, int, float]:
        node = pod["spec"].get("nodeName")
        (ready,) = [each for each in pod["status"]["conditions"] if each["type"] == "Ready"]
        ready_s = (now - datetime.fromisoformat(ready["lastTransitionTime"])).total_seconds()
        return (
            node is not None,
            PHASES.index(pod["status"]["phase"]),
            ready["status"] == "True",
            int(pod["metadata"].get("annotations", {}).get(COST, 0)),
            -crowds[node],
            int(math.log2(max(ready_s, 1.0))),
            rng.random(),
        )

    return [pod["metadata"]["name"] for pod in sorted(pods, key=rank)[:count]]
