"""The parts that our manifests use of kinds whose schemas no package here brings: external-secrets.io/v1,
gateway.networking.k8s.io/v1 and cert-manager.io/v1, written down from their API references. Stricter than the
originals: what we do not use is refused, so that whoever uses more of a kind looks it up."""

from typing import Any

Shape = dict[str, Any]


def closed(required: dict[str, Shape], optional: dict[str, Shape] | None = None) -> Shape:
    """An object with these fields and no others."""
    fields = required | (optional or {})
    return {"type": "object", "properties": fields, "required": sorted(required), "additionalProperties": False}


def listed(item: Shape) -> Shape:
    """A list that is not empty."""
    return {"type": "array", "items": item, "minItems": 1}


TEXT: Shape = {"type": "string", "minLength": 1}
PORT: Shape = {"type": "integer", "minimum": 1, "maximum": 65_535}
DURATION: Shape = {"type": "string", "pattern": r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"}
HOST: Shape = {"type": "string", "pattern": r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"}
METADATA = closed({"name": TEXT, "namespace": TEXT}, {"labels": {"type": "object"}, "annotations": {"type": "object"}})


def resource(spec: Shape) -> Shape:
    """A whole resource."""
    return closed({"apiVersion": TEXT, "kind": TEXT, "metadata": METADATA, "spec": spec})


EXTERNAL_SECRET = closed(
    {
        "secretStoreRef": closed({"name": TEXT, "kind": {"enum": ["SecretStore", "ClusterSecretStore"]}}),
        "target": closed(
            {"name": TEXT},
            {
                "creationPolicy": {"enum": ["Owner", "Orphan", "Merge", "None"]},
                "deletionPolicy": {"enum": ["Delete", "Merge", "Retain"]},
            },
        ),
        "dataFrom": listed(closed({"extract": closed({"key": TEXT})})),
    },
    {"refreshInterval": DURATION},
)
LISTENER = closed(
    {
        "name": TEXT,
        "protocol": {"enum": ["HTTP", "HTTPS", "TLS"]},
        "port": PORT,
        "tls": closed(
            {
                "mode": {"enum": ["Terminate", "Passthrough"]},
                "certificateRefs": listed(closed({"name": TEXT}, {"kind": {"const": "Secret"}})),
            }
        ),
    },
    {
        "hostname": HOST,
        "allowedRoutes": closed({"namespaces": closed({"from": {"enum": ["All", "Same", "Selector"]}})}),
    },
)
PATH = closed({"type": {"enum": ["Exact", "PathPrefix"]}, "value": {"type": "string", "pattern": "^/"}})
RULE = closed(
    {
        "matches": {**listed(closed({"path": PATH})), "maxItems": 64},
        "backendRefs": listed(closed({"name": TEXT, "port": PORT})),
    },
    {"timeouts": closed({"request": DURATION})},
)

CERTIFICATE = closed(
    {
        "secretName": TEXT,
        "duration": DURATION,
        "privateKey": closed({"algorithm": {"enum": ["RSA", "ECDSA", "Ed25519"]}, "size": {"type": "integer"}}),
        "issuerRef": closed({"kind": {"enum": ["Issuer", "ClusterIssuer"]}, "name": TEXT}),
    },
    {
        "isCA": {"type": "boolean"},
        "commonName": TEXT,
        "renewBefore": DURATION,
        "usages": listed({"enum": ["server auth", "client auth"]}),
        "dnsNames": listed(HOST),
    },
)

SHAPES: dict[tuple[str, str], Shape] = {
    ("external-secrets.io/v1", "ExternalSecret"): resource(EXTERNAL_SECRET),
    ("cert-manager.io/v1", "Certificate"): resource(CERTIFICATE),
    ("cert-manager.io/v1", "Issuer"): resource(
        closed({}, {"selfSigned": closed({}), "ca": closed({"secretName": TEXT})})
    ),
    ("gateway.networking.k8s.io/v1", "Gateway"): resource(
        closed({"gatewayClassName": TEXT, "listeners": listed(LISTENER)})
    ),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): resource(
        closed(
            {
                "parentRefs": listed(closed({"name": TEXT}, {"sectionName": TEXT})),
                "hostnames": listed(HOST),
                "rules": {**listed(RULE), "maxItems": 16},
            }
        )
    ),
}
