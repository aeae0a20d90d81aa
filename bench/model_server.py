"""A model's service that costs next to nothing: `POST .../chat/completions` in OpenAI's wire format, always the same
answer after `--latency-s` seconds, on bare asyncio protocols. `GET /stats` tells how many calls wait and were answered.

It must not be what limits a run: thousands of connections in one process, no parsing of bodies, no framework.
"""

import argparse
import asyncio
import json
import socket
from typing import cast

import httpx
import uvloop

from bench.processes import Processes

SENTENCE = "The question was weighed against what is known of it, and the answer is that it depends on the details. "
CONTENT = (SENTENCE * 6).strip()
BACKLOG = 16_384


class Service:
    """What all connections share."""

    def __init__(self, latency_s: float) -> None:
        self.latency_s = latency_s
        self.waiting = 0
        self.answered = 0
        completion = {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": "bench",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": CONTENT}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 60, "completion_tokens": 120, "total_tokens": 180},
        }  # fmt: skip
        self.completion = response(json.dumps(completion).encode())

    @property
    def stats(self) -> bytes:
        """The answer to `GET /stats`."""
        return response(json.dumps({"waiting": self.waiting, "answered": self.answered}).encode())


def response(body: bytes) -> bytes:
    """A whole HTTP answer."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One connection: a request at a time, as HTTP/1.1 clients send them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport to answer on."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """A request, or a part of one."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            size = end + 4 + _length(head)
            if len(self._received) < size:
                return
            self._received = self._received[size:]
            self._serve(head)

    def _serve(self, head: bytes) -> None:
        if head.startswith(b"GET /stats"):
            self._write(self._service.stats)
            return
        self._service.waiting += 1
        asyncio.get_running_loop().call_later(self._service.latency_s, self._complete)

    def _complete(self) -> None:
        self._service.waiting -= 1
        self._service.answered += 1
        self._write(self._service.completion)

    def _write(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def serve(port: int, latency_s: float) -> None:
    """Serves until it is ended."""
    service = Service(latency_s)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    server = await asyncio.get_running_loop().create_server(lambda: Connection(service), sock=listener, backlog=BACKLOG)
    async with server:
        await server.serve_forever()


def serve_beside(processes: Processes, latency_s: float) -> str:
    """Starts it as a process of its own; answers the base URL for clients."""
    name = "bench.model_server"
    port = processes.serve("model", lambda port: ([name, f"--port={port}", f"--latency-s={latency_s}"], {}))
    return f"http://127.0.0.1:{port}/v1"


def stats(base_url: str) -> dict[str, int]:
    """How many calls wait, and how many were answered."""
    found: dict[str, int] = httpx.get(f"{base_url.removesuffix('/v1')}/stats", trust_env=False, timeout=10.0).json()
    return found


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="python -m bench.model_server", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--latency-s", type=float, default=2.0)
    options = parser.parse_args()
    uvloop.run(serve(options.port, options.latency_s))


if __name__ == "__main__":
    main()
