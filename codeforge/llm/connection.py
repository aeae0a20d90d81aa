"""HTTP to the model's service: shared connections, bounded answers, deadlines and retries."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from codeforge.errors import ModelError
from codeforge.llm.failures import Answer, RetryPolicy, excerpt
from codeforge.task import JsonObject

MAX_ANSWER_BYTES = 8 * 1024 * 1024
CONNECT_S = 10.0

# The pool of httpx looks at all its connections for each of them at every request: 500 calls at once cost one pool
# of 500 six seconds of CPU, fifty pools of 10 less than one.
POOL_SIZE = 10

# Many servers close a connection after 5 idle seconds; one that is closed while it is taken for a request loses it.
KEEP_IDLE_S = 3.0

# Waiting for a free connection costs nothing and is no fault of the service; the task's own timeout comes first.
QUEUE_S = 3_600.0


class Connection:
    """Sends requests to one base URL.

    `timeout_s` bounds each try, from the first byte sent to the last one read; of more than `max_connections`
    requests the later ones wait their turn. A request that may have reached the service is never sent again unless
    the service answered that it failed: it may have been paid for.
    """

    def __init__(
        self, base_url: str, key: SecretStr | None, *, timeout_s: float, max_connections: int, retry: RetryPolicy
    ) -> None:
        self._secret = key.get_secret_value() if key is not None else None
        parts = urlsplit(base_url)
        self._host = parts.hostname or "the model's service"
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._timeout_s = timeout_s
        self._retry = retry
        tls = httpx.create_ssl_context(trust_env=False)
        self._pools = [
            httpx.AsyncClient(
                base_url=base_url.rstrip("/") + "/",
                headers={"Authorization": f"Bearer {self._secret}"} if self._secret else {},
                timeout=httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
                limits=httpx.Limits(keepalive_expiry=KEEP_IDLE_S),
                verify=tls,
                trust_env=False,
            )
            for _ in range(0, max_connections, POOL_SIZE)
        ]
        # One entry a connection; the pool that was used last is taken first, so that few connections stay warm.
        self._free: asyncio.LifoQueue[httpx.AsyncClient] = asyncio.LifoQueue()
        for index in reversed(range(max_connections)):
            self._free.put_nowait(self._pools[index // POOL_SIZE])

    @property
    def host(self) -> str:
        """The service's host name."""
        return self._host

    @property
    def port(self) -> int:
        """The service's port."""
        return self._port

    @property
    def secret(self) -> str | None:
        """The key in clear, for blanking it in texts."""
        return self._secret

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """The service's last answer, whatever its status, after the retries that are allowed. Raises ModelError
        `model_unavailable` when there was none, `model_bad_output` when it was too large."""
        tried = 0
        while True:
            tried += 1
            try:
                answer = await self._once(method, path, dict(headers or {}), body, timeout_s or self._timeout_s)
            except _NotSent as failed:
                wait_s = self._retry.wait_s(tried, None)
                if wait_s is None:
                    raise failed.error from failed.__cause__
            else:
                if not answer.worth_retrying or names_format(answer):
                    return answer
                wait_s = self._retry.wait_s(tried, answer.retry_after_s)
                if wait_s is None:
                    return answer
            await asyncio.sleep(wait_s)

    async def close(self) -> None:
        """Closes all connections."""
        for pool in self._pools:
            await pool.aclose()

    async def _once(
        self, method: str, path: str, headers: dict[str, str], body: JsonObject | None, timeout_s: float
    ) -> Answer:
        async with self._pool() as pool:
            try:
                async with asyncio.timeout(timeout_s):
                    return await _exchange(pool, method, path, headers, body)
            except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
                raise _NotSent(self._unavailable(f"cannot connect: {excerpt(str(exc), self._secret)}")) from exc
            except (TimeoutError, httpx.TimeoutException) as exc:
                raise self._unavailable(f"no answer within {timeout_s:g} s") from exc
            except (httpx.HTTPError, httpx.InvalidURL) as exc:
                raise self._unavailable(f"connection lost: {type(exc).__name__}") from exc

    @asynccontextmanager
    async def _pool(self) -> AsyncIterator[httpx.AsyncClient]:
        try:
            async with asyncio.timeout(QUEUE_S):
                pool = await self._free.get()
        except TimeoutError as exc:
            raise self._unavailable(f"no free connection within {QUEUE_S:g} s") from exc
        try:
            yield pool
        finally:
            self._free.put_nowait(pool)

    def _unavailable(self, what: str) -> ModelError:
        return ModelError(f"{self._host}: {what}", code="model_unavailable", retryable=True)


async def _exchange(
    pool: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], body: JsonObject | None
) -> Answer:
    received = bytearray()
    async with pool.stream(method, path, headers=headers, json=body) as response:
        async for chunk in response.aiter_bytes():
            received += chunk
            if len(received) > MAX_ANSWER_BYTES:
                raise ModelError(
                    f"the model's answer is over {MAX_ANSWER_BYTES} bytes", code="model_bad_output", retryable=False
                )
        return Answer(response.status_code, dict(response.headers), bytes(received))


class _NotSent(Exception):
    """The request never reached the service; carries the error to raise when retries are used up."""

    def __init__(self, error: ModelError) -> None:
        super().__init__(error.message)
        self.error = error


def names_format(answer: Answer) -> bool:
    """Whether a 5xx is really a refusal of `response_format` (llama-cpp-python's server), which no retry helps."""
    return answer.status >= 500 and b"response_format" in answer.body
