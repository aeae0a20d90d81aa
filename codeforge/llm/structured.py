"""Answers of a given shape: asked for with a JSON schema, found in whatever the model wrote, checked, and repaired.

Write answer models small and flat, so that a tiny model under a grammar gets through. Bounds that should steer the
model without failing a longer answer go into the schema alone (`Line`, `Paragraph`); bounds that must hold go into
the model.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError, WithJsonSchema

from codeforge.agent import Message, ModelReply, ModelRequest
from codeforge.errors import ModelError
from codeforge.llm.dialect import schema_instruction
from codeforge.task import JsonObject

A = TypeVar("A", bound=BaseModel)

SHOWN_CHARS = 1_500
MAX_STARTS = 50

# A repair is asked for less coolly: at the first temperature a model tends to say the same again.
TEMPERATURES = (0.2, 0.5, 0.8)

Line = Annotated[str, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 200})]
Paragraph = Annotated[str, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 400})]

_FENCE = re.compile(r"```[\w-]*\s*\n(.*?)```", re.DOTALL)
_KEPT = frozenset(
    {"type", "properties", "items", "enum", "pattern"}
    | {"minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"}
)


class Asked(Protocol):
    """What is asked: an agent's context, or what stands before it."""

    async def model(self, name: str, request: ModelRequest) -> ModelReply:
        """See `AgentContext.model`."""
        ...


async def ask(
    ctx: Asked,
    name: str,
    messages: Sequence[Message],
    answer: type[A],
    *,
    model: str | None = None,
    max_tokens: int = 1_024,
    hints: Mapping[str, JsonObject] | None = None,
    check: Callable[[A], None] | None = None,
) -> tuple[A, ModelReply]:
    """The model's answer as `answer`, and the reply that it came in.

    `hints` are JSON schema keywords for single fields, such as the enum of ids that exist in this task; `check` may
    raise ValueError for an answer that has the shape but cannot be used. An answer that fails is shown to the model
    with the reason, at most twice, as the journaled steps `<name>.repair1` and `<name>.repair2`. Raises ModelError
    `model_bad_output` after that, and whatever `ctx.model` raises.
    """
    schema = schema_of(answer, hints)
    asked, step = list(messages), name
    for attempt, temperature in enumerate(TEMPERATURES, 1):
        request = ModelRequest(
            messages=asked,
            model=model,
            max_tokens=max_tokens,
            temperature=temperature,
            json_schema=schema,
            schema_name=answer.__name__,
        )
        reply = await ctx.model(step, request)
        try:
            return parsed(reply, answer, check), reply
        except ValueError as exc:
            if attempt == len(TEMPERATURES):
                raise ModelError(
                    f"{reply.model} gave no usable {answer.__name__} in {attempt} tries: {exc}",
                    code="model_bad_output",
                    retryable=False,
                ) from exc
            asked = [*messages, *_repair(reply, str(exc), schema)]
            step = f"{name}.repair{attempt}"
    raise AssertionError("unreachable: the last attempt returns or raises")


def parsed(reply: ModelReply, answer: type[A], check: Callable[[A], None] | None = None) -> A:
    """The first JSON object in the reply that is an `answer`. Raises ValueError with one line that says what is
    wrong, in words that help a model mend it."""
    problem = "there is no JSON object in the answer"
    if reply.finish_reason == "length":
        problem = f"the answer was cut off after {reply.output_tokens} tokens; be much shorter"
    for found in objects_in(reply.text):
        try:
            value = answer.model_validate(found)
            if check is not None:
                check(value)
        except ValidationError as exc:
            problem = _first_error(exc)
        except ValueError as exc:
            problem = str(exc)
        else:
            return value
    raise ValueError(problem)


def objects_in(text: str) -> Iterator[JsonObject]:
    """JSON objects in a model's answer, most likely first: the whole text, fenced blocks, then whatever starts at a
    brace, after leading words or thoughts."""
    decoder = json.JSONDecoder(strict=False)
    whole = text.strip()
    for candidate in (whole, *(block.strip() for block in _FENCE.findall(text))):
        if candidate.startswith("{"):
            found = _object_at(decoder, candidate, 0)
            if found is not None:
                yield found[0]
    position = whole.find("{")
    for _ in range(MAX_STARTS):
        if position < 0:
            return
        found = _object_at(decoder, whole, position)
        if found is not None:
            yield found[0]
        position = whole.find("{", position + 1 if found is None else found[1])


def schema_of(answer: type[BaseModel], hints: Mapping[str, JsonObject] | None = None) -> JsonObject:
    """The model's JSON schema as services want it: references resolved, no titles or defaults, every property
    required and no others admitted. `hints` are laid over single properties, nested keywords merged."""
    raw = answer.model_json_schema()
    schema = _plain(raw, raw.get("$defs", {}))
    for field, extra in (hints or {}).items():
        schema["properties"][field] = _merged(schema["properties"][field], extra)
    return schema


def _plain(node: JsonObject, definitions: Mapping[str, JsonObject]) -> JsonObject:
    if "$ref" in node:
        return _plain(definitions[str(node["$ref"]).rsplit("/", 1)[-1]], definitions)
    plain = {key: value for key, value in node.items() if key in _KEPT}
    if "items" in plain:
        plain["items"] = _plain(plain["items"], definitions)
    if "properties" in plain:
        plain["properties"] = {name: _plain(part, definitions) for name, part in plain["properties"].items()}
        plain["required"] = list(plain["properties"])
        plain["additionalProperties"] = False
    return plain


def _merged(node: JsonObject, extra: JsonObject) -> JsonObject:
    merged = dict(node)
    for key, value in extra.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _object_at(decoder: json.JSONDecoder, text: str, start: int) -> tuple[JsonObject, int] | None:
    try:
        value, end = decoder.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None  # no JSON starts here; the caller looks further
    return (value, end) if isinstance(value, dict) else None


def _repair(reply: ModelReply, problem: str, schema: JsonObject) -> list[Message]:
    said = reply.text[:SHOWN_CHARS] or "(nothing)"
    return [
        Message(role="assistant", content=said),
        Message(role="user", content=f"That cannot be used: {problem}.\n{schema_instruction(schema)}"),
    ]


def _first_error(error: ValidationError) -> str:
    first: Any = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])
