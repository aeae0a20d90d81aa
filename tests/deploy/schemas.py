"""Strict schemas: of Kubernetes from `kubernetes-validate`, of KEDA from `cloudcoil-models-keda`, of some from here."""

import json
from functools import cache
from typing import Any

import kubernetes_validate
from cloudcoil.models.keda import v1alpha1 as keda
from jsonschema import Draft202012Validator

from tests.deploy.crd_shapes import SHAPES
from tests.deploy.manifests import Resource, title

KUBERNETES = "1.32"
KEDA_GROUP = "keda.sh/v1alpha1"
LATER = {
    "Fallback": {
        "behavior": {"enum": ["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"]}
    }
}
"""Fields of KEDA 2.17, which is newer than the models (keda.sh, "ScaledObject specification")."""

OPEN_OBJECTS = {"FieldsV1"}
"""Definitions that may hold anything."""


def schema_fault(resource: Resource) -> str | None:
    """The first thing that the schema of its kind refuses; a kind without a schema is refused too."""
    return _fault(json.dumps(resource))


@cache
def _fault(text: str) -> str | None:
    resource: Resource = json.loads(text)
    if resource["apiVersion"] == KEDA_GROUP:
        return _keda_fault(resource)
    if (shape := SHAPES.get((resource["apiVersion"], resource["kind"]))) is not None:
        return _first_fault(resource, Draft202012Validator(shape))
    try:
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)
    except kubernetes_validate.SchemaNotFoundError as error:
        return f"{title(resource)}: {error.message}"
    except kubernetes_validate.ValidationError as error:
        return f"{title(resource)}: {'.'.join(map(str, error.path))}: {error.message}"
    return None


def _keda_fault(resource: Resource) -> str | None:
    model = getattr(keda, resource["kind"], None)
    if model is None:
        return f"{title(resource)}: Couldn't find schema for kind {resource['kind']}"
    return _first_fault(resource, _keda_validator(model))


def _first_fault(resource: Resource, validator: Draft202012Validator) -> str | None:
    for error in validator.iter_errors(resource):
        return f"{title(resource)}: {'.'.join(map(str, error.absolute_path))}: {error.message}"
    return None


@cache
def _keda_validator(model: Any) -> Draft202012Validator:
    schema = model.model_json_schema(by_alias=True)
    for name, properties in LATER.items():
        if name in schema["$defs"]:
            schema["$defs"][name]["properties"] |= properties
    for name, definition in [("", schema), *schema["$defs"].items()]:
        if definition.get("type") == "object" and name not in OPEN_OBJECTS and "properties" in definition:
            definition["additionalProperties"] = False
    return Draft202012Validator(schema)
