"""NetworkPolicies mean here what Kubernetes documents."""

from typing import Any

import pytest

from tests.deploy.manifests import Resource
from tests.deploy.policies import Address, Pod, allows

A, B = Pod({"app": "a"}), Pod({"app": "b"}, ports={"http": 8080})
ELSEWHERE = Pod({"app": "a"}, namespace="keda")
PUBLIC, METADATA = Address("93.184.215.14"), Address("169.254.169.254")


def policy(app: str | None, **spec: Any) -> Resource:
    """A policy on one app's pods, or on all."""
    selector = {"matchLabels": {"app": app}} if app else {}
    metadata = {"name": "x", "namespace": "codeforge-ai"}
    return {"kind": "NetworkPolicy", "metadata": metadata, "spec": {"podSelector": selector} | spec}


def ingress(*peers: Resource, ports: list[Resource] | None = None) -> Resource:
    rule = {"from": list(peers)} | ({"ports": ports} if ports else {})
    return policy("b", ingress=[rule])


DENY_ALL = policy(None, policyTypes=["Ingress", "Egress"])
FROM_A = {"podSelector": {"matchLabels": {"app": "a"}}}
IN_KEDA = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}}
WORLD = {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}
TO_B = policy("a", policyTypes=["Egress"], egress=[{"to": [{"podSelector": {"matchLabels": {"app": "b"}}}]}])


@pytest.mark.parametrize(
    ("stack", "source", "target", "port", "allowed"),
    [
        ([], A, B, 8080, True),
        ([DENY_ALL], A, B, 8080, False),
        ([DENY_ALL], A, PUBLIC, 443, False),
        ([DENY_ALL, TO_B], A, B, 8080, False),
        ([DENY_ALL, TO_B, ingress(FROM_A)], A, B, 8080, True),
        ([DENY_ALL, TO_B, ingress(FROM_A)], B, A, 8080, False),
        ([ingress(FROM_A)], ELSEWHERE, B, 8080, False),
        ([ingress(IN_KEDA)], ELSEWHERE, B, 8080, True),
        ([ingress(IN_KEDA | FROM_A)], ELSEWHERE, B, 8080, True),
        ([ingress(IN_KEDA | {"podSelector": {"matchLabels": {"app": "c"}}})], ELSEWHERE, B, 8080, False),
        ([ingress(IN_KEDA, FROM_A)], A, B, 8080, True),
        ([ingress(FROM_A, ports=[{"port": "http"}])], A, B, 8080, True),
        ([ingress(FROM_A, ports=[{"port": "http"}])], A, B, 9090, False),
        ([ingress(FROM_A, ports=[{"port": 8000, "endPort": 8100}])], A, B, 8080, True),
        ([ingress(FROM_A, ports=[{"port": 8080, "protocol": "UDP"}])], A, B, 8080, False),
        ([ingress()], A, B, 8080, True),
        ([policy("b", ingress=[])], A, B, 8080, False),
        ([policy("b", ingress=[])], B, A, 8080, True),
        ([policy("a", egress=[{"to": [WORLD]}])], A, PUBLIC, 443, True),
        ([policy("a", egress=[{"to": [WORLD]}])], A, METADATA, 80, False),
        ([policy("a", egress=[{"to": [WORLD]}])], A, Address("2001:db8::1"), 443, False),
        ([policy("a", egress=[{"to": [WORLD]}])], A, B, 8080, False),
    ],
)
def test_a_connection(stack: list[Resource], source: Any, target: Any, port: int, allowed: bool) -> None:
    assert allows(stack, source, target, port) is allowed


@pytest.mark.parametrize(
    ("expression", "chosen"),
    [
        ({"key": "app", "operator": "In", "values": ["a", "c"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["a"]}, False),
        ({"key": "tier", "operator": "NotIn", "values": ["a"]}, True),
        ({"key": "app", "operator": "Exists"}, True),
        ({"key": "app", "operator": "DoesNotExist"}, False),
    ],
)
def test_an_expression_chooses(expression: Resource, chosen: bool) -> None:
    deny = policy(None, policyTypes=["Egress"])
    deny["spec"]["podSelector"] = {"matchExpressions": [expression]}
    assert allows([deny], A, PUBLIC, 443) is not chosen
