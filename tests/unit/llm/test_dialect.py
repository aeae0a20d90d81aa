"""How a request is spelled, and what is tried after a refusal."""

import pytest

from codeforge.agent import Message, ModelRequest
from codeforge.llm.dialect import Dialect, Shape, grammar_sized, without_bounds

SCHEMA = {
    "type": "object",
    "properties": {
        "maxLength": {"type": "string", "maxLength": 900},
        "names": {"type": "array", "maxItems": 3, "items": {"type": "string", "maxLength": 50, "pattern": "^a$"}},
    },
    "required": ["maxLength", "names"],
    "additionalProperties": False,
}
REQUEST = ModelRequest(messages=[Message(role="user", content="hi")], json_schema=SCHEMA, schema_name="Names")


def test_a_plain_request_has_no_response_format() -> None:
    body = Dialect().body("m", ModelRequest(messages=REQUEST.messages, max_tokens=7))

    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 7,
        "stream": False,
        "temperature": 0.2,
    }


def test_the_strictest_form_is_tried_first_then_ever_looser_ones() -> None:
    dialect: Dialect | None = Dialect()
    formats = []
    prompts = []
    while dialect is not None:
        body = dialect.body("m", REQUEST)
        formats.append(body.get("response_format"))
        prompts.append(len(body["messages"]))
        dialect = dialect.after_refusal(400, "this is not supported", REQUEST)

    assert formats == [
        {"type": "json_schema", "json_schema": {"name": "Names", "strict": True, "schema": SCHEMA}},
        {"type": "json_schema", "json_schema": {"name": "Names", "strict": True, "schema": without_bounds(SCHEMA)}},
        {"type": "json_object", "schema": grammar_sized(SCHEMA)},
        {"type": "json_object"},
        None,
    ]
    assert prompts == [1, 1, 1, 2, 2]


def test_where_no_schema_is_enforced_the_prompt_holds_it() -> None:
    first = Dialect(shape=Shape.PROMPT).body("m", REQUEST)["messages"][0]

    assert first["role"] == "system"
    assert "JSON" in first["content"]
    assert '"maxItems":3' in first["content"]


def test_bounds_are_left_out_but_properties_of_their_names_are_not() -> None:
    bare = without_bounds(SCHEMA)

    assert bare["properties"]["maxLength"] == {"type": "string"}
    assert bare["properties"]["names"] == {"type": "array", "items": {"type": "string"}}
    assert bare["required"] == ["maxLength", "names"]


def test_a_grammar_keeps_only_short_string_bounds() -> None:
    sized = grammar_sized(SCHEMA)

    assert "maxLength" not in sized["properties"]["maxLength"]
    assert sized["properties"]["names"]["items"]["maxLength"] == 50


@pytest.mark.parametrize(
    ("status", "complaint"),
    [
        (401, "response_format"),
        (429, "slow down"),
        (500, "internal error"),
        (400, "This model's maximum context length is 8192 tokens"),
        (404, "no such model"),
    ],
)
def test_refusals_for_other_reasons_are_final(status: int, complaint: str) -> None:
    assert Dialect().after_refusal(status, complaint, REQUEST) is None


def test_a_500_that_names_the_format_is_a_refusal() -> None:
    other = Dialect().after_refusal(500, "('body', 'response_format', 'type') should be 'json_object'", REQUEST)

    assert other == Dialect(shape=Shape.STRICT_WITHOUT_BOUNDS)


def test_parameters_are_dropped_once_when_they_are_named() -> None:
    plain = ModelRequest(messages=REQUEST.messages)
    renamed = Dialect().after_refusal(400, "Use 'max_completion_tokens' instead of 'max_tokens'", plain)
    assert renamed is not None
    cooler = renamed.after_refusal(400, "Unsupported value: 'temperature'", plain)
    assert cooler is not None

    body = cooler.body("m", plain)

    assert body["max_completion_tokens"] == plain.max_tokens
    assert "max_tokens" not in body
    assert "temperature" not in body
    assert cooler.after_refusal(400, "'temperature', 'max_completion_tokens'", plain) is None
