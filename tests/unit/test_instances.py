"""The test model's answers are valid instances of what it is asked for."""

import pytest

from tests.servers.instances import smallest


@pytest.mark.parametrize(
    ("schema", "instance"),
    [
        ({"enum": ["b", "a"]}, "b"),
        ({"const": 3}, 3),
        ({"type": "string"}, "text of an answer"),
        ({"type": "string", "maxLength": 4}, "text"),
        ({"type": "string", "minLength": 20}, "text of an answer te"),
        ({"type": "string", "pattern": "^[a-z]+$"}, "a"),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "number"}, 0),
        ({"type": "boolean"}, True),
        ({"type": "array", "items": {"type": "integer"}}, [0]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3}, [0, 0, 0]),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 0}, []),
        ({"type": "object", "properties": {"a": {"type": "object"}}}, {"a": {}}),
    ],
)
def test_instances_are_small_and_valid(schema: dict[str, object], instance: object) -> None:
    assert smallest(schema) == instance


def test_an_unknown_schema_is_an_error() -> None:
    with pytest.raises(ValueError, match="no instance"):
        smallest({"anyOf": []})
