"""A model server whose answers can be told apart, with an append-only log of every call.

Each answer costs its call's number in millionths of a dollar. The ledger and the graph keep what a call cost, so they
tell which call's answer was journaled, and the log tells whether the same step was asked for once more after that.
"""

import asyncio
import hashlib
import json
import time
from pathlib import Path
from typing import Any

from tests.servers.model import ModelServer, Scripted, Send, _respond

MICRO_USD = 1_000_000


class PaidModel(ModelServer):
    """Answers after `shortest_s` to `longest_s` seconds, drawn for each step by its key. It never dedupes."""

    def __init__(self, log: Path, shortest_s: float, longest_s: float) -> None:
        super().__init__()
        self.path = log
        self._bounds = (shortest_s, longest_s)
        self._number = 0
        log.touch()

    async def _complete(self, send: Send, headers: dict[str, str], raw: bytes) -> None:
        body = json.loads(raw)
        self._number += 1
        number, key = self._number, headers["idempotency-key"]
        self._note(n=number, key=key, fence=int(headers["x-codeforge-fence"]), at=time.monotonic())
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self._latency_s(key))
        finally:
            self.in_flight -= 1
        answer = self._completion(body, Scripted())
        answer["usage"]["cost"] = number / MICRO_USD
        await _respond(send, Scripted(body=answer))

    def _note(self, **entry: Any) -> None:
        with self.path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")

    def _latency_s(self, key: str) -> float:
        """Evenly spread on a logarithmic scale: many short calls, few long ones."""
        shortest, longest = self._bounds
        share = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") / 2**32
        return float(shortest * (longest / shortest) ** share)

    def logged(self) -> list[dict[str, Any]]:
        """The log so far."""
        return [json.loads(line) for line in self.path.read_text().splitlines()]
