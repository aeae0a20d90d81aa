"""Embeddings over HTTP, against a local server in OpenAI's wire format."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence

import pytest
from pydantic import SecretStr

from codeforge.errors import CodeForgeError, EmbeddingsUnavailable, RowRejected
from codeforge.stores.embeddings.http import ATTEMPTS, MAX_BATCH, HttpEmbedder
from tests.servers.canned import Answer, CannedServer, Request
from tests.servers.valkey import free_port

KEY = "sk-very-secret"
BACKOFF_S = 0.01
DIM = 4


def embeddings(request: Request) -> Answer:
    """What a service answers: a vector from each text's length, listed backwards, as the format allows."""
    data = [
        {"object": "embedding", "index": place, "embedding": [float(len(text)), 1.0, 0.0, 0.0]}
        for place, text in enumerate(request.body["input"])
    ]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return Answer(200, {"object": "list", "data": data[::-1], "model": request.body["model"], "usage": usage})


def error(status: int, **headers: str) -> Answer:
    body = {"error": {"message": f"no, {KEY}", "type": "x", "code": None}}
    return Answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def embed(url: str, texts: Sequence[str], timeout_s: float = 10.0) -> list[list[float]]:
    async def run() -> list[list[float]]:
        embedder = HttpEmbedder(url, SecretStr(KEY), "m", DIM, timeout_s=timeout_s, backoff_s=BACKOFF_S)
        assert embedder.dim == DIM
        try:
            return await embedder.embed(texts)
        finally:
            await embedder.close()

    return asyncio.run(run())


def failing_first(count: int, answer: Answer) -> Callable[[Request], Answer]:
    left = [count]

    def respond(request: Request) -> Answer:
        left[0] -= 1
        return answer if left[0] >= 0 else embeddings(request)

    return respond


def failure(respond: Callable[[Request], Answer], texts: Sequence[str] = ("text",)) -> tuple[CodeForgeError, int]:
    """What `embed` raises, and how many requests it made."""
    with CannedServer(respond) as server:
        with pytest.raises(CodeForgeError) as raised:
            embed(server.url, texts)
        assert KEY not in str(raised.value)
        return raised.value, len(server.requests)


def test_vectors_are_in_the_order_of_the_texts_and_of_unit_length() -> None:
    with CannedServer(embeddings) as server:
        vectors = embed(f"{server.url}/v1/", ["a", "bbb"])
    assert vectors == [
        pytest.approx([1 / math.sqrt(2), 1 / math.sqrt(2), 0, 0]),
        pytest.approx([3 / math.sqrt(10), 1 / math.sqrt(10), 0, 0]),
    ]
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/embeddings")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body == {"model": "m", "input": ["a", "bbb"], "encoding_format": "float"}


def test_many_texts_go_in_bounded_batches() -> None:
    with CannedServer(embeddings) as server:
        vectors = embed(server.url, ["x" * (1 + n % 9) for n in range(2 * MAX_BATCH + 3)])
        assert embed(server.url, []) == []
    assert len(vectors) == 2 * MAX_BATCH + 3
    assert [len(request.body["input"]) for request in server.requests] == [MAX_BATCH, MAX_BATCH, 3]


@pytest.mark.parametrize("answer", [error(500), error(503), error(429), error(408), Answer(drops=True)])
def test_a_passing_failure_is_tried_again(answer: Answer) -> None:
    with CannedServer(failing_first(ATTEMPTS - 1, answer)) as server:
        assert len(embed(server.url, ["text"])) == 1
    assert len(server.requests) == ATTEMPTS


def test_tries_are_limited() -> None:
    raised, requests = failure(lambda _: error(503))
    assert isinstance(raised, EmbeddingsUnavailable)
    assert raised.retryable
    assert requests == ATTEMPTS


def test_it_waits_as_long_as_the_service_asks() -> None:
    with CannedServer(failing_first(1, error(429, Retry_After="1"))) as server:
        begin = time.monotonic()
        embed(server.url, ["text"])
    assert 1.0 <= time.monotonic() - begin < 30


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_no_retry_can_help_is_not_tried_again(status: int) -> None:
    raised, requests = failure(lambda _: error(status))
    assert isinstance(raised, EmbeddingsUnavailable)
    assert not raised.retryable
    assert requests == 1


def test_a_text_that_the_service_refuses_is_rejected() -> None:
    raised, _ = failure(
        lambda asked: error(400) if "bad" in asked.body["input"] else embeddings(asked), ["good", "bad"]
    )
    assert isinstance(raised, RowRejected)


@pytest.mark.parametrize(
    "answer",
    [
        error(500),  # llama.cpp: an input that is too long; Ollama: a vector that is not a number
        Answer(200, {"data": [{"index": place, "embedding": [0.0] * DIM} for place in range(2)]}),
        Answer(200, {"data": [{"index": place, "embedding": [None] * DIM} for place in range(2)]}),
    ],
)
def test_a_text_that_the_service_fails_each_time_is_rejected(answer: Answer) -> None:
    raised, _ = failure(lambda asked: answer if "bad" in asked.body["input"] else embeddings(asked), ["good", "bad"])
    assert isinstance(raised, RowRejected)


def test_a_service_that_refuses_every_text_is_no_texts_fault() -> None:
    raised, _ = failure(lambda _: error(400))
    assert isinstance(raised, EmbeddingsUnavailable)
    assert not raised.retryable


def test_a_service_that_fails_every_text_is_no_texts_fault() -> None:
    raised, requests = failure(lambda _: error(500))
    assert isinstance(raised, EmbeddingsUnavailable)
    assert raised.retryable
    assert requests == ATTEMPTS + 1


def test_another_dimension_names_the_setting() -> None:
    body = {"data": [{"index": 0, "embedding": [1.0] * (DIM + 1)}]}
    raised, _ = failure(lambda _: Answer(200, body))
    assert isinstance(raised, EmbeddingsUnavailable)
    assert "CODEFORGE_EMBEDDINGS_DIM" in raised.message


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        {},
        {"data": []},
        {"data": [{"index": 1, "embedding": [1.0] * DIM}]},
        {"data": [{"index": 0, "embedding": []}]},
        {"data": [{"index": 0, "embedding": [0.0] * DIM}]},
        {"data": [{"index": 0, "embedding": "AAAA"}]},
    ],
)
def test_nonsense_is_unavailable(body: object) -> None:
    raised, _ = failure(lambda _: Answer(200, body))
    assert isinstance(raised, EmbeddingsUnavailable)


def test_what_a_slow_service_has_no_time_for_is_asked_for_in_smaller_batches() -> None:
    def slow(request: Request) -> Answer:
        return embeddings(request) if len(request.body["input"]) <= MAX_BATCH // 4 else error(503)

    async def run(url: str) -> int:
        embedder = HttpEmbedder(url, SecretStr(KEY), "m", DIM, backoff_s=BACKOFF_S)
        try:
            for _ in range(2):
                with pytest.raises(EmbeddingsUnavailable):
                    await embedder.embed(["text"] * MAX_BATCH)
            return len(await embedder.embed(["text"] * MAX_BATCH))
        finally:
            await embedder.close()

    with CannedServer(slow) as server:
        assert asyncio.run(run(server.url)) == MAX_BATCH


def test_a_service_that_is_not_there_or_hangs_is_unavailable_in_time() -> None:
    with pytest.raises(EmbeddingsUnavailable):
        embed(f"http://127.0.0.1:{free_port()}", ["text"])
    begin = time.monotonic()
    with CannedServer(lambda _: Answer(hangs=True)) as server, pytest.raises(EmbeddingsUnavailable):
        embed(server.url, ["text"], timeout_s=0.2)
    assert time.monotonic() - begin < 0.2 * ATTEMPTS + 9  # the server gives up after ten
