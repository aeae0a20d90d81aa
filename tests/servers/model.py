"""A local model server in OpenAI's wire format, for tests and demos. It answers at once, always the same to the same
request, and its JSON answers are the smallest instances of the schema that was asked for.

As a context manager it runs in a thread of its own; as a program (`python -m tests.servers.model --port 0`) it
prints its base URL and serves until it is ended.
"""

import argparse
import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import uvicorn

from tests.servers.instances import smallest

START_S = 60.0
MODEL = "test-model"

JsonObject = dict[str, Any]
Send = Callable[[JsonObject], Awaitable[None]]
Receive = Callable[[], Awaitable[JsonObject]]


@dataclass(frozen=True, slots=True)
class Scripted:
    """One prepared answer. `body` is sent as JSON, or as it is when it is bytes; `text` is instead the content of an
    ordinary completion. `hang_s` delays it, in seconds; `drop` closes the connection in the middle of it."""

    status: int = 200
    body: JsonObject | bytes | None = None
    text: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    finish_reason: str = "stop"
    hang_s: float = 0.0
    drop: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One request to `/chat/completions` as it arrived."""

    idempotency_key: str | None
    fence: str | None
    authorization: str | None
    body: JsonObject


class ModelServer:
    """The server. `scripted` answers go out first, one a request; then what `writer` makes of a request's body, if
    that is not None; then completions after `latency_s` seconds. No answer goes out before so many calls as `together`
    says are under way.

    `dialect` is what it takes as `response_format`: `any`, `openai` (a strict `json_schema` without length bounds),
    `llama_cpp` (`json_object` with a `schema`, status 500 for the rest), `json_object` only, or `none`. `cost` is
    reported as OpenRouter does.
    """

    def __init__(
        self,
        *,
        latency_s: float = 0.0,
        together: int = 1,
        dialect: Literal["any", "openai", "llama_cpp", "json_object", "none"] = "any",
        models: Iterable[str] = (MODEL,),
        key: str | None = None,
        cost: float | None = None,
        log: Path | None = None,
        writer: Callable[[JsonObject], Scripted | None] | None = None,
        port: int = 0,
    ) -> None:
        self.latency_s = latency_s
        self.dialect = dialect
        self.models = list(models)
        self.cost = cost
        self.calls: list[Call] = []
        self.scripted: list[Scripted] = []
        self.listings = 0
        self.arrived = threading.Event()  # set by the first call
        self.in_flight = 0
        self.most_in_flight = 0
        self._together = together
        self._enough = asyncio.Event()
        self._key = key
        self._log = log
        self._writer = writer
        self._port = port
        self._server = uvicorn.Server(
            uvicorn.Config(
                self, host="127.0.0.1", port=port, log_level="critical", lifespan="off", ws="none", backlog=2048
            )
        )
        self._thread = threading.Thread(target=self._server.run, name="model-server", daemon=True)

    @property
    def url(self) -> str:
        """The base URL for clients, known once it is started."""
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + START_S
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError("the model server did not start")
            time.sleep(0.005)
        self._port = self._server.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(START_S)

    async def __call__(self, scope: JsonObject, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        body = await _read(receive)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        if self._key is not None and headers.get("authorization") != f"Bearer {self._key}":
            refusal = {"error": {"message": f"Incorrect API key provided: {headers.get('authorization')}"}}
            await _respond(send, Scripted(status=401, body=refusal))
        elif scope["path"] == "/v1/models":
            self.listings += 1
            await _respond(send, Scripted(body={"object": "list", "data": [{"id": name} for name in self.models]}))
        elif scope["path"] == "/v1/chat/completions" and scope["method"] == "POST":
            await self._complete(send, headers, body)
        else:
            await _respond(send, Scripted(status=404, body={"error": {"message": "no such route"}}))

    async def _complete(self, send: Send, headers: dict[str, str], raw: bytes) -> None:
        body = json.loads(raw)
        self._record(Call(headers.get("idempotency-key"), headers.get("x-codeforge-fence"),
                          headers.get("authorization"), body))  # fmt: skip
        answer = self._next(body)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if self.most_in_flight >= self._together:
            self._enough.set()
        try:
            await asyncio.wait_for(self._enough.wait(), START_S)
            await asyncio.sleep(answer.hang_s or self.latency_s)
        finally:
            self.in_flight -= 1
        if answer.drop:  # uvicorn closes the connection of an application that ends before its body
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
            return
        if answer.status == 200 and answer.body is None:
            answer = Scripted(body=self._completion(body, answer), headers=answer.headers)
        await _respond(send, answer)

    def _next(self, body: JsonObject) -> Scripted:
        if self.scripted:
            return self.scripted.pop(0)
        written = None if self._writer is None else self._writer(body)
        return written or self._refused(body) or Scripted()

    def _record(self, call: Call) -> None:
        self.calls.append(call)
        self.arrived.set()
        if self._log is not None:
            line = json.dumps({"key": call.idempotency_key, "fence": call.fence, "model": call.body.get("model")})
            with self._log.open("a", encoding="utf-8") as log:
                log.write(line + "\n")

    def _refused(self, body: JsonObject) -> Scripted | None:
        wanted = body.get("response_format", {"type": "text"})
        kind = wanted["type"]
        taken = {
            "any": True,
            "openai": kind != "json_object" and '"maxLength"' not in json.dumps(wanted),
            "llama_cpp": kind == "json_object",
            "json_object": kind == "json_object" and "schema" not in wanted,
            "none": False,
        }[self.dialect]
        if kind == "text" or taken:
            return None
        status = 500 if self.dialect == "llama_cpp" else 400
        return Scripted(status=status, body={"error": {"message": f"response_format: {kind} is not supported"}})

    def _completion(self, body: JsonObject, answer: Scripted) -> JsonObject:
        text = answer.text if answer.text is not None else _answer_text(body)
        prompt_tokens = sum(len(message["content"].split()) for message in body["messages"])
        completion_tokens = max(1, len(text.split()))
        usage: JsonObject = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        }
        if self.cost is not None:
            usage["cost"] = self.cost
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason, "logprobs": None}
        return {
            "id": f"chatcmpl-{len(self.calls)}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": body["model"],
            "choices": [choice],
            "usage": usage,
        }


def _answer_text(body: JsonObject) -> str:
    wanted = body.get("response_format", {})
    schema = wanted.get("json_schema", {}).get("schema") or wanted.get("schema") or _schema_in_prompt(body["messages"])
    if schema is not None:
        return json.dumps(smallest(schema))
    return "The answer is that it depends on the question [1]."


def _schema_in_prompt(messages: list[JsonObject]) -> JsonObject | None:
    """A schema that stands in the prompt as its own line; models that are asked for JSON in words follow it."""
    for message in messages:
        for line in str(message["content"]).splitlines():
            if line.startswith('{"') and '"properties"' in line:
                schema: JsonObject = json.loads(line)
                return schema
    return None


async def _read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        event = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
    return body


async def _respond(send: Send, answer: Scripted) -> None:
    payload = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body or {}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(payload)), **answer.headers}
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
    await send({"type": "http.response.body", "body": payload})


def main() -> None:
    """Serves until it is ended; prints the base URL when it is up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-s", type=float, default=0.0)
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    with ModelServer(port=options.port, latency_s=options.latency_s, log=options.log) as server:
        print(server.url, flush=True)  # noqa: T201  # the program's output
        threading.Event().wait()


if __name__ == "__main__":
    main()
