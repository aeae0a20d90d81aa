"""What a page says in JSON-LD (https://www.w3.org/TR/json-ld11/), as its objects, those of a graph each for itself."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

MAX_JSON_LD: Final = 20
MAX_JSON_LD_CHARS: Final = 50_000
"""Of all objects of a page together, as JSON."""

MAX_DEPTH: Final = 50
"""Of an object; deeper ones are left out. Readers of JSON give up at some 200."""

MAX_INTEGER_CHARS: Final = 18
"""Longer numbers stay text: 64 bits hold no more, and they are somebody's ids."""

_WRAPPED: Final = re.compile(
    r"^\s*(?:<!--|(?://|/\*)?\s*<!\[CDATA\[(?:\s*\*/)?)|(?:-->|(?://|/\*)?\s*\]\]>(?:\s*\*/)?)\s*$"
)
_LAST_COMMA: Final = re.compile(r",(?=\s*[\]}])")


def json_ld_objects(scripts: Iterable[str]) -> list[dict[str, Any]]:
    """The first `MAX_JSON_LD` objects, of the scripts that can be read. Never fails."""
    kept: list[dict[str, Any]] = []
    room = MAX_JSON_LD_CHARS
    for script in scripts:
        if len(script) > 2 * MAX_JSON_LD_CHARS:
            continue
        for one in _objects(_parsed(script)):
            if _is_deep(one):
                continue
            # A text cut in the middle of a character has half of it, which is no UTF-8.
            text = json.dumps(one, ensure_ascii=False).encode(errors="replace")
            room -= len(text)
            if room < 0 or len(kept) == MAX_JSON_LD:
                return kept
            kept.append(json.loads(text))
    return kept


def texts_of(objects: list[dict[str, Any]], name: str) -> list[list[str]]:
    """The values of a property, or the names of the things that it has, of each object that has it; a thing may be told
    elsewhere, under its `@id`."""
    known = {one["@id"]: one for one in objects if isinstance(one.get("@id"), str)}
    return [texts for one in objects if (texts := list(_texts(one.get(name), known)))]


def _texts(value: Any, known: dict[str, dict[str, Any]]) -> Iterator[str]:
    for item in value if isinstance(value, list) else [value]:
        text = item
        if isinstance(item, dict):
            told = known.get(item["@id"], {}) if isinstance(item.get("@id"), str) else {}
            text = item.get("name") or item.get("@value") or told.get("name")
        for part in text if isinstance(text, list) else [text]:
            if isinstance(part, str) and part.strip():
                yield part


def _parsed(script: str) -> Any:
    """None for what is no JSON, also without the comments around it, and without commas after the last item."""
    plain = _WRAPPED.sub("", script)
    for text in (script, plain, _LAST_COMMA.sub("", plain)):
        try:
            return json.loads(text, strict=False, parse_constant=lambda _: None, parse_int=_integer, parse_float=_float)
        except (ValueError, RecursionError):
            continue
    return None


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= MAX_INTEGER_CHARS else text


def _float(text: str) -> float | str:
    number = float(text)
    return text if number in (float("inf"), float("-inf")) else number


def _objects(parsed: Any) -> Iterator[dict[str, Any]]:
    for one in parsed if isinstance(parsed, list) else [parsed]:
        graph = one.get("@graph") if isinstance(one, dict) else None
        listed = graph if isinstance(graph, list) else [graph if isinstance(graph, dict) else one]
        yield from (each for each in listed if isinstance(each, dict))


def _is_deep(one: Any) -> bool:
    level: list[Any] = [one]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
