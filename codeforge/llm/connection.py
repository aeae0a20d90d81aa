"""HTTP to the model's service: shared connections, bounded answers, deadlines and retries."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
import certifi
import orjson
from pydantic import SecretStr

from codeforge.errors import ModelError
from codeforge.llm.failures import Answer, RetryPolicy, excerpt
from codeforge.task import JsonObject

MAX_ANSWER_BYTES = 8 * 1024 * 1024
CONNECT_S = 10.0

# Many servers close a connection after 5 idle seconds, and a call that goes out on a closed one is lost. What is left
# to 5 is for loops that are behind: the client's, which counts from when it got to the answer, and the server's.
KEEP_IDLE_S = 1.0

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
        self._base_url = base_url.rstrip("/") + "/"
        self._timeout_s = timeout_s
        self._retry = retry
        self._free = asyncio.Semaphore(max_connections)
        self._session: aiohttp.ClientSession | None = None

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
        if self._session is not None:
            await self._session.close()

    async def _once(
        self, method: str, path: str, headers: dict[str, str], body: JsonObject | None, timeout_s: float
    ) -> Answer:
        async with self._turn():
            try:
                async with asyncio.timeout(timeout_s):
                    return await _exchange(self._opened(), method, self._base_url + path, headers, body)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
                raise _NotSent(self._unavailable(f"cannot connect: {excerpt(str(exc), self._secret)}")) from exc
            except TimeoutError as exc:
                raise self._unavailable(f"no answer within {timeout_s:g} s") from exc
            except aiohttp.ClientError as exc:
                raise self._unavailable(f"connection lost: {type(exc).__name__}") from exc

    def _opened(self) -> aiohttp.ClientSession:
        """Made at the first request, because it belongs to the loop that it is made on."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,  # the turns are the limit
                    keepalive_timeout=KEEP_IDLE_S,
                    ssl=ssl.create_default_context(cafile=certifi.where()),
                ),
                headers={"Authorization": f"Bearer {self._secret}"} if self._secret else {},
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_S, self._timeout_s)),
                trust_env=False,
            )
        return self._session

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(QUEUE_S):
                await self._free.acquire()
        except TimeoutError as exc:
            raise self._unavailable(f"no free connection within {QUEUE_S:g} s") from exc
        try:
            yield
        finally:
            self._free.release()

    def _unavailable(self, what: str) -> ModelError:
        return ModelError(f"{self._host}: {what}", code="model_unavailable", retryable=True)


async def _exchange(
    session: aiohttp.ClientSession, method: str, url: str, headers: dict[str, str], body: JsonObject | None
) -> Answer:
    received = bytearray()
    content = None if body is None else orjson.dumps(body)
    if content is not None:
        headers["Content-Type"] = "application/json"
    async with session.request(method, url, headers=headers, data=content, allow_redirects=False) as response:
        async for chunk in response.content.iter_any():
            received += chunk
            if len(received) > MAX_ANSWER_BYTES:
                raise ModelError(
                    f"the model's answer is over {MAX_ANSWER_BYTES} bytes", code="model_bad_output", retryable=False
                )
        names = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, names, bytes(received))


class _NotSent(Exception):
    """The request never reached the service; carries the error to raise when retries are used up."""

    def __init__(self, error: ModelError) -> None:
        super().__init__(error.message)
        self.error = error


def names_format(answer: Answer) -> bool:
    """Whether a 5xx is really a refusal of `response_format` (llama-cpp-python's server), which no retry helps."""
    return answer.status >= 500 and b"response_format" in answer.body
