"""How one model's service wants to be asked. OpenAI-compatible services differ in how they take a JSON schema and in
two parameters; which spelling a service takes shows only in what it refuses.

Sources: OpenAI's structured outputs guide (`json_schema`, strict; a subset of JSON Schema without length bounds),
llama-cpp-python's server (`json_object` with a `schema` member; refuses `json_schema` with status 500), OpenAI's
reasoning models (`max_completion_tokens`, no `temperature`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from codeforge.agent import Message, ModelRequest
from codeforge.task import JsonObject

BOUNDS = frozenset({"minLength", "maxLength", "pattern", "minItems", "maxItems", "minimum", "maximum"})

# llama.cpp walks a bounded string's grammar recursively; 1,200 characters overflow a thread's 8 MiB stack and kill
# the server, 900 do not.
LONGEST_GRAMMAR_STRING = 500

REFUSALS = frozenset({400, 404, 415, 422})


class Shape(IntEnum):
    """Ways to ask for JSON of a schema, the strictest first; each next one is tried when a service refuses."""

    STRICT = 0
    STRICT_WITHOUT_BOUNDS = 1
    OBJECT_WITH_SCHEMA = 2
    OBJECT = 3
    PROMPT = 4


@dataclass(frozen=True, slots=True)
class Dialect:
    """One spelling of a request."""

    shape: Shape = Shape.STRICT
    tokens_field: str = "max_tokens"
    temperature: bool = True

    def body(self, model: str, request: ModelRequest) -> JsonObject:
        """The JSON body of `POST /chat/completions`."""
        body: JsonObject = {
            "model": model,
            "messages": [message.model_dump() for message in self._messages(request)],
            self.tokens_field: request.max_tokens,
            "stream": False,
        }
        if self.temperature:
            body["temperature"] = request.temperature
        if request.json_schema is not None and self.shape is not Shape.PROMPT:
            body["response_format"] = self._response_format(request.schema_name, request.json_schema)
        return body

    def after_refusal(self, status: int, complaint: str, request: ModelRequest) -> "Dialect | None":
        """The dialect to try next, or None when the refusal cannot be about the spelling.

        `complaint` is the service's error text. A 5xx counts only where it names `response_format`, as
        llama-cpp-python's does.
        """
        text = complaint.lower()
        about_format = "response_format" in text or "json_schema" in text
        if status not in REFUSALS and not (status >= 500 and about_format):
            return None
        if "context_length" in text or "context length" in text:
            return None
        if not about_format:
            if "max_completion_tokens" in text and self.tokens_field == "max_tokens":
                return replace(self, tokens_field="max_completion_tokens")
            if "temperature" in text and self.temperature:
                return replace(self, temperature=False)
        if status == 404 or request.json_schema is None or self.shape is Shape.PROMPT:
            return None
        return replace(self, shape=Shape(self.shape + 1))

    def _messages(self, request: ModelRequest) -> list[Message]:
        if request.json_schema is None or self.shape < Shape.OBJECT:
            return request.messages
        instruction = Message(role="system", content=schema_instruction(request.json_schema))
        return [instruction, *request.messages]

    def _response_format(self, name: str, schema: JsonObject) -> JsonObject:
        if self.shape is Shape.OBJECT:
            return {"type": "json_object"}
        if self.shape is Shape.OBJECT_WITH_SCHEMA:
            return {"type": "json_object", "schema": grammar_sized(schema)}
        given = schema if self.shape is Shape.STRICT else without_bounds(schema)
        return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": given}}


def schema_instruction(schema: Mapping[str, Any]) -> str:
    """The schema as words, for models whose service does not enforce it."""
    text = json.dumps(schema, separators=(",", ":"), ensure_ascii=False)
    return f"Answer with one JSON object and no other text. It must match this JSON schema:\n{text}"


def without_bounds(schema: Any) -> Any:
    """The schema without length, size and pattern bounds, which OpenAI's strict mode refuses in part."""
    return _rewritten(schema, lambda key, _value: key not in BOUNDS)


def grammar_sized(schema: Any) -> Any:
    """The schema without string bounds that llama.cpp's grammars cannot take."""
    return _rewritten(schema, lambda key, value: key != "maxLength" or value <= LONGEST_GRAMMAR_STRING)


def _rewritten(schema: Any, keep: Any) -> Any:
    """A copy of a JSON schema with only those keywords that `keep` admits. Names of properties are no keywords."""
    if not isinstance(schema, dict):
        return schema
    copy: JsonObject = {}
    for key, value in schema.items():
        if key == "properties":
            copy[key] = {name: _rewritten(part, keep) for name, part in value.items()}
        elif key == "items":
            copy[key] = _rewritten(value, keep)
        elif keep(key, value):
            copy[key] = value
    return copy
