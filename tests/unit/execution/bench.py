"""A worker's insides on a bench: the ledger in memory, scripted agents, and services that do as they are told."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from codeforge.agent import ANY_TERMS, AgentContext, FetchTerms, ModelReply, ModelRequest, SearchReply
from codeforge.errors import FetchError, ModelError
from codeforge.execution.attempt import AttemptRunner
from codeforge.execution.control import AttemptControl
from codeforge.inputs import ScrapeInput
from codeforge.ledger.lease import Lease
from codeforge.ledger.memory import MemoryLedger
from codeforge.ledger.port import ClaimedTask, WorkerRecord
from codeforge.results import Page, ResultModel, ScrapeResult
from codeforge.task import Task
from codeforge.worker_types import WorkerType
from tests.factories import new_task
from tests.patience import PATIENCE_S


def held_lease(clock: Callable[[], float] = time.monotonic) -> Lease:
    """A lease that was renewed now."""
    lease = Lease(3_600, clock)
    lease.renewed(lease.now())
    return lease


EMPTY = ScrapeResult(pages=[], failed=[])
INPUT = b'{"urls":["https://example.org/"]}'

Act = Callable[[AgentContext], Awaitable[ResultModel]]


@dataclass
class ScriptedAgent:
    """A scrape agent that does what the test says."""

    act: Act
    inputs: list[ScrapeInput] = field(default_factory=list)
    type = WorkerType.SCRAPE

    async def run(self, ctx: AgentContext, task_input: Any) -> ResultModel:
        self.inputs.append(task_input)
        return await self.act(ctx)


@dataclass
class Model:
    """Answers every call alike, after it has raised what it has to raise; keeps what came with the calls."""

    fails: list[ModelError] = field(default_factory=list)
    calls: list[tuple[str, int]] = field(default_factory=list)
    default_model: str | None = "m"

    async def complete(self, request: ModelRequest, *, idempotency_key: str, fence: int) -> ModelReply:
        self.calls.append((idempotency_key, fence))
        if self.fails:
            raise self.fails.pop(0)
        return ModelReply(text="ok", model="m", input_tokens=10, output_tokens=5, usd=0.25, finish_reason="stop", ms=7)

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


@dataclass
class Web:
    """Pages and search hits; `fails` are raised first."""

    fails: list[FetchError] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)

    renders_per_task = 3
    sitemaps = 0

    async def sitemap(self, url: str, *, limit: int, terms: FetchTerms = ANY_TERMS) -> list[str]:
        self.sitemaps += 1
        return [f"{url}{number}" for number in range(limit)]

    async def fetch(self, url: str, *, mode: str, terms: FetchTerms = ANY_TERMS) -> Page:
        self.terms = terms
        self.fetched.append(url)
        if self.fails:
            raise self.fails.pop(0)
        return Page(url=url, final_url=url, status_code=200, content_hash=sha256(b"").hexdigest())

    async def search(self, query: str, *, provider: str, limit: int) -> SearchReply:
        self.queries.append(query)
        return SearchReply(hits=[])

    def require(self, provider: str) -> None: ...

    async def close(self) -> None: ...


@dataclass
class Bench:
    """One worker, `w`, with a live lease on `ledger`."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    model: Model | None = field(default_factory=Model)
    web: Web = field(default_factory=Web)

    @property
    def runner(self) -> AttemptRunner:
        return AttemptRunner(self.ledger, model=self.model, fetcher=self.web, search=self.web)

    async def claim(self, task_id: str | None = None, **fields: Any) -> ClaimedTask:
        """A new task, or the given one, under a new claim."""
        if task_id is None:
            task = new_task(**({"input": INPUT} | fields))
            await self.ledger.submit([task])
            task_id = task.id
        await self.ledger.renew_lease(WorkerRecord("w", [WorkerType.SCRAPE], 10))
        claimed = await self.ledger.claim(task_id, "w", secrets.token_hex(8))
        assert claimed is not None
        return claimed

    async def attempt(self, act: Act, **fields: Any) -> Task:
        """The task after one whole attempt."""
        claimed = await self.claim(**fields)
        await self.runner.run(claimed, ScriptedAgent(act), AttemptControl(held_lease()))
        return await self.ledger.get("acme", claimed.task.id)


class Run:
    """An attempt in progress."""

    def __init__(self, bench: Bench, claimed: ClaimedTask, act: Act) -> None:
        self.bench, self.claimed = bench, claimed
        self.control = AttemptControl(held_lease())
        self.task = asyncio.ensure_future(bench.runner.run(claimed, ScriptedAgent(act), self.control))

    async def end(self) -> Task:
        """The task once the attempt has ended."""
        async with asyncio.timeout(PATIENCE_S):
            await self.task
        return await self.bench.ledger.get("acme", self.claimed.task.id)


class Gate:
    """An agent's step that waits until the test opens it."""

    def __init__(self) -> None:
        self.entered, self.opened = asyncio.Event(), asyncio.Event()
        self.runs = 0

    async def __call__(self) -> SearchReply:
        self.runs += 1
        self.entered.set()
        await self.opened.wait()
        return SearchReply(hits=[], warnings=["ran"])
