"""Tasks at a steady rate, whatever the service does: an open loop, as users are."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import aiohttp

TICK_S = 0.1
MOST_IN_FLIGHT = 500
ANSWER_S = 30.0
QUESTION = "Is a bicycle better than a car in a town?"


def mixed(site_url: str) -> Iterator[dict[str, Any]]:
    """Of twenty tasks 17 are of the cheapest kind that calls a model, one each of the others."""
    coding = {"type": "coding", "input": {"prompt": QUESTION, "language": "python", "max_iterations": 1}}
    scrape = {"type": "scrape", "input": {"urls": [site_url]}}
    analysis = {
        "type": "analysis",
        "input": {"question": QUESTION, "urls": [site_url], "search": "none", "reuse": False},
    }
    debate = {"type": "debate", "input": {"question": QUESTION, "positions": ["yes", "no"], "rounds": 1}}
    return cycle([scrape, *[coding] * 6, analysis, *[coding] * 6, debate, *[coding] * 5])


class Load:
    """What was sent, and what came of it. `unanswered` may or may not have been accepted."""

    def __init__(self, api: str, site_url: str, rate: float) -> None:
        self.accepted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.unanswered: Counter[str] = Counter()
        self.slowest_s = 0.0
        self._api = api
        self._tasks = mixed(site_url)
        self._rate = rate
        self._in_flight: set[asyncio.Task[None]] = set()

    async def run(self, seconds: float) -> None:
        """Until the time is over and all is answered."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        connector = aiohttp.TCPConnector(limit=64)
        async with aiohttp.ClientSession(self._api, timeout=timeout, connector=connector) as session:
            began, sent = time.monotonic(), 0
            while (passed := time.monotonic() - began) < seconds:
                due = int(passed * self._rate) - sent
                for _ in range(due):
                    self._send(session)
                sent += due
                await asyncio.sleep(TICK_S)
            await asyncio.gather(*self._in_flight)

    def _send(self, session: aiohttp.ClientSession) -> None:
        task = next(self._tasks)
        if len(self._in_flight) >= MOST_IN_FLIGHT:
            self.refused["not sent"] += 1
            return
        sending = asyncio.ensure_future(self._post(session, task))
        self._in_flight.add(sending)
        sending.add_done_callback(self._in_flight.discard)

    async def _post(self, session: aiohttp.ClientSession, task: dict[str, Any]) -> None:
        began = time.monotonic()
        try:
            async with session.post("/tasks", json=task) as answer:
                await answer.read()
                if answer.status == 202:
                    self.accepted[task["type"]] += 1
                else:
                    self.refused[str(answer.status)] += 1
        except (aiohttp.ClientError, TimeoutError) as error:
            self.unanswered[type(error).__name__] += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
