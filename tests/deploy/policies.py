"""NetworkPolicies as Kubernetes reads them: whether a pod may open a connection.

Semantics are those of the NetworkPolicy documentation: a pod that no policy selects for a direction may do all in it; a
pod that some select may do what any of them allows; a connection needs both ends' consent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from tests.deploy.facts import NAMESPACE
from tests.deploy.manifests import Resource, Stack, containers_of, labels_of, of_kind

NAME_LABEL = "kubernetes.io/metadata.name"
"""The label that every namespace has by itself."""


@dataclass(frozen=True)
class Pod:
    """One end of a connection inside the cluster. `ports` are its ports' numbers by name."""

    labels: Mapping[str, str]
    namespace: str = NAMESPACE
    ports: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, workload: Resource) -> "Pod":
        """A pod of a workload."""
        ports = [port for container in containers_of(workload) for port in container.get("ports", [])]
        return cls(labels_of(workload), ports={port["name"]: port["containerPort"] for port in ports if "name" in port})


@dataclass(frozen=True)
class Address:
    """One end outside the cluster's pods."""

    ip: str


End = Pod | Address


def fits(selector: Resource | None, labels: Mapping[str, str]) -> bool:
    """Whether labels are as a label selector wants them; an empty one wants nothing."""
    selector = selector or {}
    same = all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())
    return same and all(_holds(expression, labels) for expression in selector.get("matchExpressions", []))


def _holds(expression: Resource, labels: Mapping[str, str]) -> bool:
    present, value = expression["key"] in labels, labels.get(expression["key"])
    answers = {
        "In": present and value in expression.get("values", []),
        "NotIn": value not in expression.get("values", []),
        "Exists": present,
        "DoesNotExist": not present,
    }
    return answers[expression["operator"]]


def policies_on(stack: Stack, pod: Pod, direction: str) -> Stack:
    """The policies that isolate a pod for `Ingress` or `Egress`."""
    return [
        policy
        for policy in of_kind(stack, "NetworkPolicy")
        if policy["metadata"]["namespace"] == pod.namespace
        and direction
        in policy["spec"].get("policyTypes", ["Ingress", *(["Egress"] if "egress" in policy["spec"] else [])])
        and fits(policy["spec"].get("podSelector"), pod.labels)
    ]


def allows(stack: Stack, source: End, target: End, port: int, protocol: str = "TCP") -> bool:
    """Whether the connection comes about: the source may open it and the target takes it."""
    return _consents(stack, source, target, target, "Egress", port, protocol) and _consents(
        stack, target, source, target, "Ingress", port, protocol
    )


def _consents(stack: Stack, own: End, peer: End, target: End, direction: str, port: int, protocol: str) -> bool:
    if isinstance(own, Address) or own.namespace != NAMESPACE:
        return True  # others' policies are not ours to know
    policies = policies_on(stack, own, direction)
    way, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    rules = [rule for policy in policies for rule in policy["spec"].get(way, [])]
    return not policies or any(
        _peer_fits(rule.get(peers), peer) and _port_fits(rule.get("ports"), target, port, protocol) for rule in rules
    )


def _peer_fits(peers: list[Resource] | None, end: End) -> bool:
    return not peers or any(_one_fits(peer, end) for peer in peers)


def _one_fits(peer: Resource, end: End) -> bool:
    if "ipBlock" in peer:
        return isinstance(end, Address) and _in_block(peer["ipBlock"], end.ip)
    if isinstance(end, Address):
        return False
    if "namespaceSelector" in peer:
        inside = fits(peer["namespaceSelector"], {NAME_LABEL: end.namespace})
    else:
        inside = end.namespace == NAMESPACE
    return inside and fits(peer.get("podSelector"), end.labels)


def _in_block(block: Resource, ip: str) -> bool:
    address = ip_address(ip)
    inside = [ip_network(text) for text in [block["cidr"], *block.get("except", [])]]
    return address in inside[0] and not any(address in excepted for excepted in inside[1:])


def _port_fits(ports: list[Resource] | None, target: End, port: int, protocol: str) -> bool:
    return not ports or any(
        entry.get("protocol", "TCP") == protocol and _number_fits(entry, target, port) for entry in ports
    )


def _number_fits(entry: Resource, target: End, port: int) -> bool:
    wanted: Any = entry.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return isinstance(target, Pod) and target.ports.get(wanted) == port
    return bool(wanted <= port <= entry.get("endPort", wanted))
