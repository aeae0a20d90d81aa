"""Embeddings of an OpenAI-compatible service: `POST {base}/embeddings`
(https://platform.openai.com/docs/api-reference/embeddings/create)."""

import asyncio
import math
import random
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

import httpx
from pydantic import BaseModel, Field, SecretStr, ValidationError

from codeforge.errors import EmbeddingsUnavailable, RowRejected
from codeforge.retry_after import retry_after_s

MAX_BATCH, LEAST_BATCH, GROWTH = 128, 8, 4
ATTEMPTS = 4
BACKOFF_S = 0.5
MAX_WAIT_S = 20.0
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
TEXT_FAULTS = frozenset({400, 413, 422})
PROBE = "hello"


class _Embedding(BaseModel):
    index: int
    embedding: Annotated[list[float], Field(min_length=1)]


class _Answer(BaseModel):
    data: list[_Embedding]


class _TextFault(Exception):
    """The service failed a batch in a way that may be due to one of its texts."""

    def __init__(self, what: str, *, retryable: bool = True) -> None:
        super().__init__(what)
        self.retryable = retryable


class HttpEmbedder:
    """An `Embedder` over HTTP.

    A batch gets `ATTEMPTS` tries, each within `timeout_s` seconds. Between them it waits as long as the service asks,
    at most `MAX_WAIT_S`, or else twice as long each time, with jitter. After a failure batches are smaller, and grow
    slowly again: what takes a slow service longer than it may would fail each time.
    """

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr | None,
        model: str,
        dim: int,
        *,
        timeout_s: float = 30.0,
        backoff_s: float = BACKOFF_S,
    ) -> None:
        self._url = f"{base_url.rstrip('/')}/embeddings"
        self._model = model
        self._dim = dim
        self._timeout_s = timeout_s
        self._backoff_s = backoff_s
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key.get_secret_value()}"}
        self._most = MAX_BATCH
        self._client = httpx.AsyncClient(headers=headers, timeout=timeout_s, trust_env=False)

    @property
    def dim(self) -> int:
        """See `Embedder.dim`."""
        return self._dim

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """See `Embedder.embed`. Raises RowRejected when the service refuses a text for what it is, or fails it each
        time and no other."""
        vectors: list[list[float]] = []
        most = self._most
        try:
            for start in range(0, len(texts), most):
                vectors += await self._embedded(list(texts[start : start + most]), ATTEMPTS)
        except _TextFault as fault:
            raise await self._judged(fault) from fault
        except EmbeddingsUnavailable:
            self._most = max(LEAST_BATCH, most // 2)
            raise
        self._most = min(MAX_BATCH, self._most + GROWTH)
        return vectors

    async def close(self) -> None:
        """See `Embedder.close`."""
        await self._client.aclose()

    async def _embedded(self, batch: list[str], attempts: int) -> list[list[float]]:
        """Raises _TextFault where the texts may be why there are none."""
        response = await self._answer(batch, attempts)
        if response.is_success:
            return self._vectors(response, len(batch))
        raise _TextFault(f"answered {response.status_code}", retryable=response.status_code not in TEXT_FAULTS)

    async def _answer(self, batch: list[str], attempts: int) -> httpx.Response:
        """A success, or what may be a fault of the texts. Raises EmbeddingsUnavailable for anything else, after the
        last try."""
        cause: Exception | None = None
        for attempt in range(attempts):
            wait_s = random.uniform(0.5, 1.0) * self._backoff_s * 2**attempt  # noqa: S311  # jitter, no secret
            last = attempt + 1 == attempts
            try:
                response = await self._post(batch)
            except (httpx.HTTPError, TimeoutError) as error:
                failure, cause = f"cannot be reached: {type(error).__name__}", error
            else:
                if response.is_success or response.status_code in TEXT_FAULTS:
                    return response
                if last and response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
                    return response
                if response.status_code not in RETRIED:
                    raise _unavailable(f"answered {response.status_code}", retryable=False)
                failure, cause = f"answered {response.status_code}", None
                asked_s = retry_after_s(response.headers.get("Retry-After"))
                wait_s = wait_s if asked_s is None else asked_s + wait_s
            if not last:
                await asyncio.sleep(min(wait_s, MAX_WAIT_S))
        raise _unavailable(f"{failure} ({attempts} tries)") from cause

    async def _post(self, batch: list[str]) -> httpx.Response:
        body = {"model": self._model, "input": batch, "encoding_format": "float"}
        async with asyncio.timeout(self._timeout_s):
            return await self._client.post(self._url, json=body)

    async def _judged(self, fault: "_TextFault") -> RowRejected | EmbeddingsUnavailable:
        """Whose fault it is: a service that fails any text is ill or set up wrongly, and no text is to blame."""
        try:
            await self._embedded([PROBE], 1)
        except _TextFault as of_any:
            return _unavailable(f"{of_any}, to any text", retryable=of_any.retryable)
        except EmbeddingsUnavailable as error:
            return error
        return RowRejected(f"the embeddings service {fault} to a text")

    def _vectors(self, response: httpx.Response, count: int) -> list[list[float]]:
        """Unit vectors in the order of the texts."""
        try:
            data = sorted(_Answer.model_validate_json(response.content).data, key=lambda item: item.index)
        except ValidationError as error:
            raise _TextFault("answered something else than embeddings") from error
        if [item.index for item in data] != list(range(count)):
            raise _unavailable(f"answered {len(data)} embeddings to {count} texts")
        for item in data:
            if len(item.embedding) != self._dim:
                reason = f"answers vectors of {len(item.embedding)}, but CODEFORGE_EMBEDDINGS_DIM is {self._dim}"
                raise _unavailable(reason, retryable=False)
        return [_unit(item.embedding) for item in data]


def _unavailable(reason: str, *, retryable: bool = True) -> EmbeddingsUnavailable:
    return EmbeddingsUnavailable(f"the embeddings service {reason}", retryable=retryable)


def _unit(vector: list[float]) -> list[float]:
    length = math.sqrt(sum(number * number for number in vector))
    if not length or not math.isfinite(length):
        raise _TextFault("answered a vector without a direction")
    return [number / length for number in vector]
