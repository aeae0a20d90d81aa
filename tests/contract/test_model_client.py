"""The model client against a server that speaks OpenAI's wire format over real sockets."""

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from pydantic import SecretStr

from codeforge.agent import Message, ModelReply, ModelRequest
from codeforge.errors import ModelError
from codeforge.llm import connection
from codeforge.llm.client import OpenAICompatibleClient
from codeforge.llm.failures import RetryPolicy
from tests.patience import PATIENCE_S
from tests.servers.model import MODEL, ModelServer, Scripted
from tests.servers.valkey import free_port

T = TypeVar("T")

HELLO = ModelRequest(messages=[Message(role="user", content="hello there")], max_tokens=50)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}
SHAPED = ModelRequest(messages=HELLO.messages, json_schema=SCHEMA, schema_name="City")
SECRET = "sk-test-4711-secret"
QUICK = RetryPolicy(retries=2, base_s=0.01, cap_s=0.02, longest_wait_s=2.0)


def use(
    url: str,
    work: Callable[[OpenAICompatibleClient], Awaitable[T]],
    *,
    model: str | None = MODEL,
    timeout_s: float = 10.0,
    max_connections: int = 500,
    key: SecretStr | None = None,
    retry: RetryPolicy = QUICK,
) -> T:
    """Does `work` with a client and closes it."""

    async def run() -> T:
        client = OpenAICompatibleClient(url, key, model, timeout_s, max_connections, retry)
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(run())


def call(request: ModelRequest = HELLO) -> Callable[[OpenAICompatibleClient], Awaitable[ModelReply]]:
    """One model call."""
    return lambda client: client.complete(request, idempotency_key="task1:step", fence=7)


def error_of(url: str, **options: Any) -> ModelError:
    """The error of one call."""
    with pytest.raises(ModelError) as caught:
        use(url, call(), **options)
    return caught.value


def test_a_call_carries_its_names_and_brings_text_and_usage() -> None:
    with ModelServer(key=SECRET) as server:
        reply = use(server.url, call(), key=SecretStr(SECRET))

    sent = server.calls[0]
    assert (sent.idempotency_key, sent.fence, sent.authorization) == ("task1:step", "7", f"Bearer {SECRET}")
    assert sent.body["messages"] == [{"role": "user", "content": "hello there"}]
    assert sent.body["max_tokens"] == 50
    assert reply.text
    assert (reply.model, reply.input_tokens, reply.finish_reason) == (MODEL, 2, "stop")
    assert reply.output_tokens > 0
    assert reply.usd == 0.0


def test_no_key_sends_no_authorization() -> None:
    with ModelServer() as server:
        use(server.url, call())
    assert server.calls[0].authorization is None


def test_the_reported_cost_wins_over_the_price_list() -> None:
    request = HELLO.model_copy(update={"model": "gpt-4o"})
    with ModelServer(cost=0.125) as server:
        assert use(server.url, call(request)).usd == 0.125
    with ModelServer() as server:
        reply = use(server.url, call(request))
    assert reply.usd == pytest.approx((2.5 * reply.input_tokens + 10 * reply.output_tokens) / 1e6)


def test_without_a_model_the_first_one_listed_is_asked_for_once() -> None:
    names: list[str | None] = []

    async def twice(client: OpenAICompatibleClient) -> list[ModelReply]:
        names.append(client.default_model)
        replies = await asyncio.gather(*(call()(client) for _ in range(5)))
        names.append(client.default_model)
        return replies

    with ModelServer(models=["small", "large"]) as server:
        replies = use(server.url, twice, model=None)

    assert {reply.model for reply in replies} == {"small"}
    assert names == [None, "small"]
    assert server.listings == 1


def test_a_service_that_lists_no_models_is_named_with_the_setting() -> None:
    with ModelServer(models=[]) as server:
        error = error_of(server.url, model=None)
    assert "CODEFORGE_LLM_MODEL" in error.message
    assert not error.retryable


@pytest.mark.parametrize(
    ("dialect", "refusals"), [("any", 0), ("openai", 1), ("llama_cpp", 2), ("json_object", 3), ("none", 4)]
)
def test_every_dialect_gives_the_shape_and_is_learned_once(dialect: Any, refusals: int) -> None:
    async def twice(client: OpenAICompatibleClient) -> list[ModelReply]:
        return [await call(SHAPED)(client), await call(SHAPED)(client)]

    with ModelServer(dialect=dialect) as server:
        replies = use(server.url, twice)

    assert [json.loads(reply.text).keys() for reply in replies] == [{"city"}, {"city"}]
    assert len(server.calls) == refusals + 2
    assert {sent.idempotency_key for sent in server.calls} == {"task1:step"}


def test_a_dialect_is_learned_per_model() -> None:
    async def both(client: OpenAICompatibleClient) -> None:
        await call(SHAPED)(client)
        await call(SHAPED.model_copy(update={"model": "other"}))(client)

    with ModelServer(dialect="none") as server:
        use(server.url, both)

    assert len(server.calls) == 2 * 5


def test_a_refusal_for_another_reason_teaches_nothing() -> None:
    async def refused_then_fine(client: OpenAICompatibleClient) -> None:
        with pytest.raises(ModelError, match="too rude"):
            await call(SHAPED)(client)
        await call(SHAPED)(client)

    with ModelServer() as server:
        server.scripted = [Scripted(status=400, body={"error": {"message": "too rude"}})] * 5
        use(server.url, refused_then_fine)

    assert server.calls[-1].body["response_format"]["type"] == "json_schema"


def test_parameters_that_a_model_refuses_are_renamed() -> None:
    complaint = {"error": {"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}}
    with ModelServer() as server:
        server.scripted = [Scripted(status=400, body=complaint)]
        use(server.url, call())
    assert server.calls[-1].body["max_completion_tokens"] == 50


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        pytest.param(b"[" * 100_000, id="deep"),
        b"{}",
        b'{"choices": []}',
        b'{"choices": ["x"]}',
        b'{"choices": [{"text": "x"}]}',
        b'{"choices": [{"message": {"content": 5}}]}',
    ],
)
def test_a_malformed_answer_is_bad_output(body: bytes) -> None:
    with ModelServer() as server:
        server.scripted = [Scripted(body=body)]
        error = error_of(server.url)
        assert len(server.calls) == 1
    assert (error.code, error.retryable) == ("model_bad_output", False)


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"usage": {"prompt_tokens": -5, "completion_tokens": "7", "cost": -1}},
        {"usage": {"prompt_tokens": 10**30, "completion_tokens": 10**30, "cost": 1e300}},
    ],
)
def test_an_answer_without_usage_that_makes_sense_counts_nothing(usage: dict[str, Any]) -> None:
    with ModelServer() as server:
        body = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]} | usage
        server.scripted = [Scripted(body=body)]
        reply = use(server.url, call())
    assert (reply.text, reply.model, reply.input_tokens, reply.output_tokens, reply.usd) == ("hi", MODEL, 0, 0, 0.0)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab"),
        ({"content": None, "refusal": "I will not"}, "I will not"),
        ({"content": None}, ""),
    ],
)
def test_other_spellings_of_the_text_are_read(message: dict[str, Any], text: str) -> None:
    with ModelServer() as server:
        server.scripted = [Scripted(body={"choices": [{"message": message, "finish_reason": "stop"}]})]
        assert use(server.url, call()).text == text


def test_an_answer_that_was_cut_off_says_so() -> None:
    with ModelServer() as server:
        server.scripted = [Scripted(text="half a", finish_reason="length")]
        assert use(server.url, call()).finish_reason == "length"


def test_an_error_inside_a_200_is_an_error() -> None:
    with ModelServer() as server:
        server.scripted = [Scripted(body={"error": {"code": 429, "message": "upstream is busy"}})]
        error = error_of(server.url)
    assert (error.code, error.retryable) == ("model_rate_limited", True)
    assert "upstream is busy" in error.message


def test_an_answer_over_the_limit_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_ANSWER_BYTES", 10_000)
    with ModelServer() as server:
        server.scripted = [Scripted(body=b" " * 20_000)]
        error = error_of(server.url)
    assert error.code == "model_bad_output"
    assert "10000 bytes" in error.message


def test_no_more_calls_than_connections_are_under_way() -> None:
    async def many(client: OpenAICompatibleClient) -> None:
        await asyncio.gather(*(call()(client) for _ in range(12)))

    with ModelServer(latency_s=0.05, together=3) as server:
        use(server.url, many, max_connections=3)
        assert server.most_in_flight == 3


def test_hundreds_of_calls_go_out_at_once() -> None:
    async def many(client: OpenAICompatibleClient) -> list[ModelReply]:
        return await asyncio.gather(*(call()(client) for _ in range(300)))

    with ModelServer(together=300) as server:
        replies = use(server.url, many, timeout_s=60.0)
        assert len(replies) == 300
        assert server.most_in_flight == 300


def test_a_cancelled_call_gives_its_connection_back() -> None:
    async def cancel_one(client: OpenAICompatibleClient) -> str:
        first = asyncio.ensure_future(call()(client))
        assert await asyncio.to_thread(server.arrived.wait, PATIENCE_S)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return (await call()(client)).text

    with ModelServer() as server:
        server.scripted = [Scripted(hang_s=600.0)]
        assert use(server.url, cancel_one, max_connections=1, timeout_s=PATIENCE_S)


def test_ping_spends_nothing() -> None:
    with ModelServer(key=SECRET) as server:
        use(server.url, lambda client: client.ping(), key=SecretStr(SECRET))
        assert not server.calls


def test_ping_names_what_is_wrong() -> None:
    with ModelServer(key=SECRET) as server:
        with pytest.raises(ModelError, match="CODEFORGE_LLM_API_KEY"):
            use(server.url, lambda client: client.ping(), key=SecretStr("sk-wrong"))
        with pytest.raises(ModelError, match="CODEFORGE_LLM_BASE_URL"):
            use(f"{server.url}/nowhere", lambda client: client.ping(), key=SecretStr(SECRET))


@pytest.mark.parametrize(
    "answer",
    [
        Scripted(status=401, body={"error": {"message": f"bad key {SECRET}"}}),
        Scripted(status=400, body={"error": {"message": f"bad key {SECRET}"}}),
        Scripted(status=500, body=f"Bearer {SECRET}".encode()),
        Scripted(body={"error": {"code": 500, "message": SECRET}}),
        Scripted(body=SECRET.encode()),
        Scripted(hang_s=5.0),
        Scripted(drop=True),
    ],
)
def test_the_key_is_in_no_error_and_no_traceback(answer: Scripted) -> None:
    with ModelServer() as server:
        server.scripted = [answer] * 6
        error = error_of(server.url, key=SecretStr(SECRET), timeout_s=0.3)

    assert SECRET not in "".join(traceback.format_exception(error))
    assert SECRET not in repr(vars(error))


def test_a_password_in_the_address_is_in_no_error() -> None:
    error = error_of(f"http://user:{SECRET}@127.0.0.1:{free_port()}/v1")
    assert SECRET not in "".join(traceback.format_exception(error))


def test_half_of_a_surrogate_pair_is_replaced_so_that_the_answer_can_be_kept() -> None:
    with ModelServer() as server:
        server.scripted.append(Scripted(text="cut \ud83d"))
        reply = use(server.url, call())
    assert reply.text == "cut \ufffd"
    assert reply.model_dump_json()
