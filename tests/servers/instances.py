"""Smallest instances of JSON schemas, always the same: what the test servers answer when asked for JSON."""

from typing import Any

WORDS = "text of an answer "


def smallest(schema: dict[str, Any]) -> Any:
    """A valid instance of a schema made of objects, arrays, strings, numbers, booleans, enums and constants.

    Arrays have their least number of items, at least one where they may; strings their least length, at least a word
    where they may. Raises ValueError for a schema of any other kind.
    """
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: smallest(part) for name, part in schema.get("properties", {}).items()}
        case "array":
            return _array(schema)
        case "string":
            return _string(schema)
        case "integer" | "number":
            return max(0, schema.get("minimum", 0))
        case "boolean":
            return True
        case other:
            raise ValueError(f"no instance of a schema with type {other!r}")


def _array(schema: dict[str, Any]) -> list[Any]:
    count = min(max(1, schema.get("minItems", 0)), schema.get("maxItems", 1_000))
    return [smallest(schema["items"]) for _ in range(count)]


def _string(schema: dict[str, Any]) -> str:
    least: int
    most: int
    least, most = schema.get("minLength", 0), schema.get("maxLength", 1_000)
    if "pattern" in schema:
        return "a" * max(1, least)
    text = WORDS.strip()
    if len(text) < least:
        text = (WORDS * (least // len(WORDS) + 1))[:least]
    return text[:most]
