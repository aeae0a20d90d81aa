"""The load: tasks at a steady rate over HTTP, each under an Idempotency-Key: a lost answer is asked for again."""

import asyncio
import itertools
import random
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import httpx

RETRY_S = 0.2
GIVE_UP_S = 60.0
CONNECTIONS = 64
CANCELLED_PART = 0.01
CANCELLED_DELAY_S = 3_600
MIX: Mapping[str, float] = {"coding": 0.92, "scrape": 0.04, "debate": 0.02, "analysis": 0.02}


class Load:
    """Submits until it is told to rest. `accepted` counts what the front door took, by type; `cancelled` what was
    called off while it waited."""

    def __init__(self, api: str, site: str, rate: float, seed: int = 0) -> None:
        self.accepted: Counter[str] = Counter()
        self.cancelled: Counter[str] = Counter()
        self.retried = 0
        self._site = site
        self._rate = rate
        self._random = random.Random(seed)
        self._number = itertools.count()
        limits = httpx.Limits(max_connections=CONNECTIONS)
        self._client = httpx.AsyncClient(base_url=api, limits=limits, timeout=10.0, trust_env=False)

    async def run(self, seconds: float) -> None:
        """An open loop: what is slow does not slow it down. Ends once every answer came. Raises RuntimeError for an
        answer that is none of an accepted task."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            for turn in range(round(seconds * self._rate)):
                due = began + turn / self._rate
                if (wait := due - loop.time()) > 0:
                    await asyncio.sleep(wait)
                group.create_task(self._one())

    async def parked(self, count: int) -> list[str]:
        """Tasks that wait for an hour, so that a depth is not 0."""
        return [await self._submit(kind, delay_s=3_600) for kind in itertools.islice(itertools.cycle(MIX), count)]

    async def called_off(self, ids: list[str]) -> None:
        """Cancels them."""
        for task_id in ids:
            await self._cancel(task_id)

    async def close(self) -> None:
        """Closes its connections."""
        await self._client.aclose()

    async def _one(self) -> None:
        (kind,) = self._random.choices(list(MIX), list(MIX.values()))
        if self._random.random() < CANCELLED_PART:
            await self._cancel(await self._submit(kind, delay_s=CANCELLED_DELAY_S))
        else:
            await self._submit(kind)

    async def _submit(self, kind: str, **fields: Any) -> str:
        body = {"type": kind, "input": self._input(kind), **fields}
        answer = await self._told("POST", "/tasks", {"Idempotency-Key": uuid.uuid4().hex}, body)
        if answer.status_code != 202:
            raise RuntimeError(f"POST /tasks: {answer.status_code} {answer.text[:200]}")
        self.accepted[kind] += 1
        task_id: str = answer.json()["id"]
        return task_id

    async def _cancel(self, task_id: str) -> None:
        answer = await self._told("DELETE", f"/tasks/{task_id}", {}, None)
        # 409: the answer to an earlier try was lost, and it was done.
        if answer.status_code not in (202, 409):
            raise RuntimeError(f"DELETE /tasks: {answer.status_code} {answer.text[:200]}")
        self.cancelled[answer.request.url.path] += 1

    async def _told(self, method: str, path: str, headers: Mapping[str, str], body: Any) -> httpx.Response:
        for left in self._tries():
            with suppress(httpx.TransportError):
                answer = await self._client.request(method, path, headers=headers, json=body)
                if answer.status_code < 500:
                    return answer
            self.retried += 1
            await asyncio.sleep(RETRY_S * (0.5 + self._random.random()))
            if not left:
                break
        raise RuntimeError(f"{method} {path}: no answer within {GIVE_UP_S:.0f} s")

    @staticmethod
    def _tries() -> Iterator[int]:
        return iter(reversed(range(round(GIVE_UP_S / RETRY_S))))

    def _input(self, kind: str) -> dict[str, Any]:
        number = next(self._number)
        match kind:
            case "coding":
                return {"prompt": f"Write a function that adds {number}.", "language": "python"}
            case "scrape":
                return {"urls": [f"{self._site}/bread"]}
            case "debate":
                return {"question": f"Is {number} enough?", "positions": ["yes", "no"], "rounds": 1}
            case _:
                return {"question": f"What is {number}?", "urls": [f"{self._site}/bread"], "search": "none", "depth": 1}
