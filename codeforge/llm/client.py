"""The model's service over the OpenAI chat completions API: OpenAI, OpenRouter, llama.cpp, vLLM, Ollama and others.

Wire format: platform.openai.com/docs/api-reference/chat, openrouter.ai/docs/api-reference. Why not the `openai`
package: docs/adr/0004-model-client.md.
"""

import asyncio
import json
import time
from typing import Any

from pydantic import SecretStr

from codeforge import tracing
from codeforge.agent import ModelReply, ModelRequest
from codeforge.errors import ModelError
from codeforge.llm.connection import Connection
from codeforge.llm.dialect import Dialect
from codeforge.llm.failures import Answer, RetryPolicy, complaint_of, failure
from codeforge.llm.prices import cost
from codeforge.task import JsonObject
from codeforge.tracing import Attributes, Kind

OPENROUTER_HOST = "openrouter.ai"
PING_S = 10.0
MAX_TOKENS, MAX_USD = 10**9, 10_000.0
"""No call takes more."""


class OpenAICompatibleClient:
    """A `ModelClient`. `model` None takes the first model that the service lists.

    What a service turned out to understand is remembered per model for the client's life, and only after a call went
    well with it.
    """

    def __init__(
        self,
        base_url: str,
        key: SecretStr | None,
        model: str | None,
        timeout_s: float,
        max_connections: int,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._connection = Connection(
            base_url, key, timeout_s=timeout_s, max_connections=max_connections, retry=retry or RetryPolicy()
        )
        self._model = model
        self._listing = asyncio.Lock()
        self._dialects: dict[str, Dialect] = {}

    @property
    def default_model(self) -> str | None:
        """See `ModelClient.default_model`."""
        return self._model

    async def complete(self, request: ModelRequest, *, idempotency_key: str, fence: int) -> ModelReply:
        """One answer. `finish_reason` `length` means that it was cut off at `max_tokens`. Raises ModelError: codes
        `model_unavailable`, `model_rate_limited` (both retryable), `model_refused`, `model_rejected`,
        `model_bad_output`."""
        model = request.model or await self._known_model()
        with tracing.span(f"chat {model}", Kind.CLIENT, self._asked(model, request)) as span:
            reply = await self._answered(model, request, idempotency_key, fence)
            span.set(_told(reply))
        return reply

    async def _answered(self, model: str, request: ModelRequest, idempotency_key: str, fence: int) -> ModelReply:
        headers = {"Idempotency-Key": idempotency_key, "X-CodeForge-Fence": str(fence)}
        dialect = self._dialects.get(model, Dialect())
        first_refusal: Answer | None = None
        started = time.monotonic()
        while True:  # a dialect only ever moves towards less, so this ends after a handful of refusals
            answer = await self._connection.send(
                "POST", "chat/completions", headers=headers, body=dialect.body(model, request)
            )
            if answer.ok:
                break
            first_refusal = first_refusal or answer
            other = dialect.after_refusal(answer.status, complaint_of(answer.body), request)
            if other is None:
                raise failure(first_refusal, self._connection.secret)
            dialect = other
        reply = self._reply(model, answer, started)
        self._dialects[model] = dialect
        return reply

    def _asked(self, model: str, request: ModelRequest) -> Attributes:
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",  # the format that is spoken; the address tells whose service it is
            "gen_ai.request.model": model,
            "gen_ai.request.max_tokens": request.max_tokens,
            "gen_ai.request.temperature": request.temperature,
            "gen_ai.output.type": "text" if request.json_schema is None else "json",
            "server.address": self._connection.host,
            "server.port": self._connection.port,
        }

    async def ping(self) -> None:
        """Checks address and key without spending tokens. OpenRouter lists its models to anyone, so there the key
        itself is asked for."""
        path = "key" if self._connection.host == OPENROUTER_HOST else "models"
        answer = await self._connection.send("GET", path, timeout_s=PING_S)
        if answer.status == 404:
            raise ModelError(
                f"{self._connection.host} answered 404 to GET {path}: check CODEFORGE_LLM_BASE_URL",
                code="model_rejected",
                retryable=False,
            )
        if not answer.ok:
            raise failure(answer, self._connection.secret)

    async def close(self) -> None:
        """Closes all connections."""
        await self._connection.close()

    async def _known_model(self) -> str:
        """The configured model, or the first that the service lists; asked for once."""
        async with self._listing:
            if self._model is None:
                answer = await self._connection.send("GET", "models")
                if not answer.ok:
                    raise failure(answer, self._connection.secret)
                self._model = _first_model(answer.body)
            return self._model

    def _reply(self, model: str, answer: Answer, started: float) -> ModelReply:
        parsed = _parsed(answer.body)
        error = parsed.get("error")
        if isinstance(error, dict):  # OpenRouter reports failures after its status line was sent this way
            status = error.get("code") if isinstance(error.get("code"), int) else 502
            raise failure(Answer(int(status or 502), answer.headers, answer.body), self._connection.secret)
        choice = _first_choice(parsed)
        input_tokens, output_tokens, reported = _usage(parsed)
        named = parsed.get("model")
        return ModelReply(
            text=_text(choice),
            model=named if isinstance(named, str) and named else model,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            usd=cost(model, input_tokens, output_tokens) if reported is None else reported,
            finish_reason=str(choice.get("finish_reason") or "unknown"),
            ms=round((time.monotonic() - started) * 1_000),
        )


def _told(reply: ModelReply) -> Attributes:
    return {
        "gen_ai.response.model": reply.model,
        "gen_ai.response.finish_reasons": [reply.finish_reason],
        "gen_ai.usage.input_tokens": reply.input_tokens,
        "gen_ai.usage.output_tokens": reply.output_tokens,
        "codeforge.usd": reply.usd,
    }


def _bad(what: str) -> ModelError:
    return ModelError(f"the model's service answered {what}", code="model_bad_output", retryable=False)


def _parsed(body: bytes) -> JsonObject:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise _bad("no JSON") from exc
    if not isinstance(parsed, dict):
        raise _bad("JSON that is no object")
    return parsed


def _first_model(body: bytes) -> str:
    data = _parsed(body).get("data")
    for entry in data if isinstance(data, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("id"), str) and entry["id"]:
            return str(entry["id"])
    raise ModelError(
        "the model's service lists no models: set CODEFORGE_LLM_MODEL", code="model_rejected", retryable=False
    )


def _first_choice(parsed: JsonObject) -> JsonObject:
    choices = parsed.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise _bad("without choices")
    if not isinstance(choices[0].get("message"), dict):
        raise _bad("a choice without a message")
    return choices[0]


def _text(choice: JsonObject) -> str:
    """The message's text. Some services send it in parts; an absent one is empty (a filter, or a refusal, whose own
    words are taken instead)."""
    message = choice["message"]
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if content is None:
        content = message.get("refusal") or ""
    if not isinstance(content, str):
        raise _bad("a message whose content is no text")
    # Half of a surrogate pair (an emoji cut at max_tokens) cannot be journaled, and the call has been paid for.
    return content.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _usage(parsed: JsonObject) -> tuple[int, int, float | None]:
    """(input tokens, output tokens, USD or None). A service that does not count, or counts more than a call can take,
    is counted as 0: what it says goes into sums that all calls share."""
    usage: Any = parsed.get("usage")
    if not isinstance(usage, dict):
        return 0, 0, None
    spent: Any = usage.get("cost")
    known = isinstance(spent, int | float) and not isinstance(spent, bool) and 0 <= spent <= MAX_USD
    reported = float(spent) if known else None
    return _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")), reported


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_TOKENS else 0
