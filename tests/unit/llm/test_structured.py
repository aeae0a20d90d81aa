"""Answers of a given shape, out of whatever a model writes."""

import asyncio
import json

import pytest
from pydantic import BaseModel, Field

from codeforge.agent import Message, ModelReply, ModelRequest
from codeforge.errors import ModelError
from codeforge.llm.structured import Line, ask, objects_in, parsed, schema_of
from tests.unit.agent_context import FakeContext

MESSAGES = [Message(role="user", content="Which city?")]


class Place(BaseModel):
    """Nested."""

    name: Line


class Answer(BaseModel):
    """An answer model as agents write them."""

    city: Line
    size: int = Field(ge=0)
    places: list[Place] = Field(json_schema_extra={"maxItems": 3})


GOOD = '{"city": "Lyon", "size": 3, "places": [{"name": "Bellecour"}]}'


def reply(text: str, finish_reason: str = "stop") -> ModelReply:
    return ModelReply(text=text, model="m", input_tokens=1, output_tokens=9, usd=0.0, finish_reason=finish_reason, ms=1)


def test_the_schema_is_flat_strict_and_complete() -> None:
    assert schema_of(Answer) == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "minLength": 1, "maxLength": 200},
            "size": {"type": "integer", "minimum": 0},
            "places": {
                "type": "array",
                "maxItems": 3,
                "items": {
                    "type": "object",
                    "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 200}},
                    "required": ["name"],
                    "additionalProperties": False,
                },
            },
        },
        "required": ["city", "size", "places"],
        "additionalProperties": False,
    }


def test_hints_are_laid_over_single_fields() -> None:
    schema = schema_of(Answer, {"places": {"items": {"properties": {"name": {"enum": ["a", "b"]}}}}})

    name = schema["properties"]["places"]["items"]["properties"]["name"]
    assert name == {"type": "string", "minLength": 1, "maxLength": 200, "enum": ["a", "b"]}
    assert schema["properties"]["places"]["maxItems"] == 3


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"  \n{GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"Here you are:\n```\n{GOOD}\n```\nAnything else?",
        f"<think>maybe {{Paris}}? or {{}}</think> The answer: {GOOD} Good luck!",
        f'{{"draft": true}} {GOOD}',
        GOOD.replace("Lyon", "Ly\non"),
    ],
)
def test_json_is_found_wherever_it_stands(text: str) -> None:
    assert parsed(reply(text), Answer).size == 3


def test_a_longer_text_than_the_schema_asked_for_is_taken() -> None:
    assert parsed(reply(json.dumps({"city": "x" * 900, "size": 1, "places": []})), Answer).city == "x" * 900


@pytest.mark.parametrize(
    ("text", "finish_reason", "problem"),
    [
        ("no idea", "stop", "no JSON object"),
        (GOOD[:-3], "length", "cut off after 9 tokens"),
        ('{"city": "Lyon", "places": []}', "stop", "size: Field required"),
        ('{"city": "Lyon", "size": -1, "places": []}', "stop", "size: Input should be greater"),
        ("[" * 100_000 + "{", "stop", "no JSON object"),
        ("{" * 100_000, "stop", "no JSON object"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, finish_reason: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        parsed(reply(text, finish_reason), Answer)
    assert "\n" not in str(caught.value)


def test_the_search_for_json_is_bounded() -> None:
    assert list(objects_in("{ " * 1_000 + GOOD)) == []


def test_a_good_answer_takes_one_call() -> None:
    ctx = FakeContext(answers={"ask": GOOD})

    answer, _ = asyncio.run(ask(ctx, "ask", MESSAGES, Answer, model="big", max_tokens=77))

    assert answer.city == "Lyon"
    request = ctx.requests["ask"]
    assert (request.model, request.max_tokens, request.schema_name) == ("big", 77, "Answer")
    assert request.json_schema == schema_of(Answer)


def test_a_bad_answer_is_shown_to_the_model_with_the_reason() -> None:
    ctx = FakeContext(answers={"ask": '{"city": 1}', "ask.repair1": GOOD})

    answer, last = asyncio.run(ask(ctx, "ask", MESSAGES, Answer))

    repair = ctx.requests["ask.repair1"]
    assert answer.city == "Lyon"
    assert last.text == GOOD
    assert repair.messages[0] == MESSAGES[0]
    assert repair.messages[1] == Message(role="assistant", content='{"city": 1}')
    assert "city: Input should be a valid string" in repair.messages[2].content
    assert '"properties"' in repair.messages[2].content
    assert repair.temperature > ctx.requests["ask"].temperature


def test_a_check_can_refuse_an_answer() -> None:
    def not_lyon(answer: Answer) -> None:
        if answer.city == "Lyon":
            raise ValueError("city: another one, please")

    ctx = FakeContext(answers={"ask": GOOD, "ask.repair1": GOOD.replace("Lyon", "Nice")})

    answer, _ = asyncio.run(ask(ctx, "ask", MESSAGES, Answer, check=not_lyon))

    assert answer.city == "Nice"
    assert "another one, please" in ctx.requests["ask.repair1"].messages[-1].content


def test_after_two_repairs_it_gives_up() -> None:
    ctx = FakeContext(answers={"ask": "?", "ask.repair1": "??", "ask.repair2": "???"})

    with pytest.raises(ModelError, match="fake gave no usable Answer in 3 tries") as caught:
        asyncio.run(ask(ctx, "ask", MESSAGES, Answer))

    assert (caught.value.code, caught.value.retryable) == ("model_bad_output", False)
    assert list(ctx.requests) == ["ask", "ask.repair1", "ask.repair2"]


def test_the_same_question_makes_the_same_requests_again() -> None:
    def run() -> dict[str, ModelRequest]:
        ctx = FakeContext(answers={"ask": "?", "ask.repair1": GOOD})
        asyncio.run(ask(ctx, "ask", MESSAGES, Answer))
        return ctx.requests

    assert run() == run()
