"""One POST to a search service: retries, deadline and errors, the same for every provider."""

import asyncio
import json
import random
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
from pydantic import SecretStr

from codeforge.errors import FetchError, SearchError
from codeforge.retry_after import retry_after_s
from codeforge.web.body import ACCEPT_ENCODING, read_body

MAX_ANSWER_BYTES = 8 * 1024 * 1024
_MAX_REASON_CHARS = 200
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """Bounds of one search. Times in seconds; `total_s` bounds all `attempts` and the waits between them. The wait
    doubles from `delay_s` with jitter, or is what the service asks for, up to `retry_after_s`."""

    total_s: float = 45.0
    attempt_s: float = 15.0
    connect_s: float = 5.0
    attempts: int = 3
    delay_s: float = 0.5
    retry_after_s: float = 10.0


class SearchConnection:
    """A provider's address and key. The key is sent in `headers` and stands in no message."""

    def __init__(
        self, name: str, base_url: str, key: SecretStr, headers: dict[str, str], limits: SearchLimits | None = None
    ) -> None:
        self.name = name
        self._key = key
        self._limits = limits or SearchLimits()
        self._client = httpx.AsyncClient(
            base_url=base_url.rstrip("/") + "/",
            headers={**headers, "Accept-Encoding": ACCEPT_ENCODING},
            timeout=httpx.Timeout(self._limits.attempt_s, connect=self._limits.connect_s),
            trust_env=False,
        )

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The JSON object that the service answers. Raises SearchError."""
        try:
            async with asyncio.timeout(self._limits.total_s):
                return await self._post_with_retries(path, body)
        except TimeoutError as exc:
            raise self._unavailable("did not answer in time") from exc

    async def close(self) -> None:
        """Closes its connections."""
        await self._client.aclose()

    async def _post_with_retries(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        for attempt in range(1, self._limits.attempts + 1):
            asked = 0.0
            try:
                answer, said = await self._answer(path, body)
            except httpx.HTTPError as exc:
                if attempt == self._limits.attempts:
                    raise self._unavailable("could not be reached") from exc
            else:
                if answer.is_success:
                    return self._object(said)
                asked = retry_after_s(answer.headers.get("retry-after")) or 0.0
                last = attempt == self._limits.attempts or asked > self._limits.retry_after_s
                if last or answer.status_code not in _RETRIED:
                    raise self._error(answer, said)
            backoff = self._limits.delay_s * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311  # no secret
            await asyncio.sleep(max(asked, backoff))
        raise AssertionError("the last attempt returns or raises")

    async def _answer(self, path: str, body: dict[str, Any]) -> tuple[httpx.Response, bytes]:
        """The answer's head, and its body, of which no more is read than it may have."""
        try:
            async with self._client.stream("POST", path, json=body) as answer:
                coding = answer.headers.get("content-encoding", "")
                return answer, await read_body(answer.aiter_raw(), coding, cap=MAX_ANSWER_BYTES, url=self.name)
        except FetchError as exc:
            raise self._bad_output() from exc

    def _object(self, said: bytes) -> dict[str, Any]:
        try:
            found = json.loads(said)
        except (ValueError, RecursionError) as exc:
            raise self._bad_output() from exc
        if not isinstance(found, dict):
            raise self._bad_output()
        return found

    def _error(self, answer: httpx.Response, said: bytes) -> SearchError:
        reason = f"{self.name} answered {answer.status_code}{self._reason(said)}"
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            return SearchError(reason, code="search_rate_limited", retryable=True)
        if answer.status_code in _RETRIED or answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return SearchError(reason, code="search_unavailable", retryable=True)
        return SearchError(reason, code="search_refused", retryable=False)

    def _reason(self, said: bytes) -> str:
        """What the service says, without the key, should it repeat it. Tavily: `detail.error`; Exa: `error`."""
        try:
            found: Any = json.loads(said)
        except (ValueError, RecursionError):
            return ""
        for name in ("detail", "error"):
            found = found.get(name, found) if isinstance(found, dict) else found
        if not isinstance(found, str):
            return ""
        text = " ".join(found.replace(self._key.get_secret_value(), "***").split())
        return f": {text[:_MAX_REASON_CHARS]}"

    def _unavailable(self, why: str) -> SearchError:
        return SearchError(f"{self.name} {why}", code="search_unavailable", retryable=True)

    def _bad_output(self) -> SearchError:
        return SearchError(f"{self.name} answered nonsense", code="search_bad_output", retryable=True)
