"""The agent's context on the ledger: steps are journaled with the claim, so that a later attempt replays them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from codeforge.agent import (
    EarlierResults,
    EarlierTask,
    FetchTerms,
    ModelClient,
    ModelReply,
    ModelRequest,
    PageFetcher,
    RenderAllowance,
    SearchReply,
    TextEmbedder,
    WebSearch,
)
from codeforge.errors import (
    EmbeddingsUnavailable,
    FetchError,
    LedgerUnavailable,
    ModelError,
    ModelNotConfigured,
    OutOfTime,
    TaskError,
)
from codeforge.execution.control import AttemptControl
from codeforge.execution.journal import NONE, Entry, JournalError, decode, encode, fingerprint
from codeforge.execution.patience import before_cancellation, patiently
from codeforge.execution.purchase import Purchase
from codeforge.execution.spans import tool_span
from codeforge.execution.steps import FetchStep, JournaledFailure, SitemapStep
from codeforge.ledger.keys import UNNAMED_MODEL
from codeforge.ledger.port import ClaimedTask, Ledger
from codeforge.logs import logger
from codeforge.results import Page
from codeforge.task import ModelCall, Progress, Task

log = logger(__name__)
T = TypeVar("T", bound=BaseModel)
Mode = Literal["auto", "standard", "rendered"]

MAX_STEP_BYTES = 8 * 1024 * 1024

FETCHING_SHARE = 0.9
"""Of an attempt's time, the part in which a page may still be waited for: the rest is for handing in what there is."""

CLOCK_S = 0.01
"""Timers may go off so much before the clock says so."""


class LedgerContext:
    """`AgentContext` of one attempt."""

    def __init__(
        self,
        claimed: ClaimedTask,
        ledger: Ledger,
        control: AttemptControl,
        *,
        model: ModelClient | None,
        fetcher: PageFetcher,
        search: WebSearch,
        embedder: TextEmbedder | None,
        earlier: EarlierResults | None = None,
    ) -> None:
        self._claimed = claimed
        self._claim = claimed.claim
        self._ledger = ledger
        self._control = control
        self._model = model
        self._fetcher = fetcher
        self._search = search
        self._embedder = embedder
        self._earlier = earlier
        self._seen: set[str] = set()
        self._furthest = 0 if claimed.task.progress is None else claimed.task.progress.done
        self._untold: Progress | None = None
        self._telling = asyncio.Lock()
        self._renders = RenderAllowance(fetcher.renders_per_task)
        self._terms = FetchTerms(
            tenant=claimed.task.tenant,
            task=claimed.task.id,
            since_ms=claimed.task.created_at,
            deadline=time.monotonic() + FETCHING_SHARE * claimed.task.timeout_s,
            renders=self._renders,
        )

    @property
    def task(self) -> Task:
        """See `AgentContext.task`."""
        return self._claimed.task

    @property
    def cancelled(self) -> bool:
        """See `AgentContext.cancelled`."""
        return self._control.stopping

    async def step(self, name: str, run: Callable[[], Awaitable[T]], returns: type[T]) -> T:
        """See `AgentContext.step`."""
        return await self._step(name, lambda purchase: run(), returns)

    async def _step(self, name: str, run: Callable[[Purchase], Awaitable[T]], returns: type[T]) -> T:
        self._use(name)
        entry = self._journaled(name)
        if entry is not None:
            return _value(name, entry, returns)
        purchase = Purchase(self._ledger, self._claim, name)
        async with self._control:
            value = await run(purchase)
            await self._record(name, value, NONE, None, paid=purchase.begun)
        return value

    def _use(self, name: str) -> None:
        if name in self._seen:
            raise ValueError(f"step {name!r} was used twice in one attempt")
        self._seen.add(name)

    def _journaled(self, name: str) -> Entry | None:
        value = self._claimed.journal.get(name)
        if value is None:
            return None
        try:
            return decode(value, MAX_STEP_BYTES)
        except JournalError as error:
            raise _mismatch(name) from error

    async def _record(
        self, name: str, value: BaseModel, mark: str, call: ModelCall | None, *, paid: bool = False
    ) -> None:
        text = value.model_dump_json().encode()
        if len(text) > MAX_STEP_BYTES:
            raise TaskError(f"step {name!r} left more than {MAX_STEP_BYTES} bytes", code="step_too_large")
        entry = encode(Entry(text, mark))
        if not paid:
            await patiently(lambda: self._ledger.record_step(self._claim, name, entry, None))
            return
        try:
            await before_cancellation(lambda: self._ledger.record_step(self._claim, name, entry, call, paid=True))
        except LedgerUnavailable as error:  # costs an attempt: what is lost each time is not paid for without end
            raise TaskError(error.message, code=error.code, retryable=True) from error

    async def model(self, name: str, request: ModelRequest) -> ModelReply:
        """See `AgentContext.model`.

        A journaled answer to another request under the same name (the agent's code changed while the task waited) is
        reported and left alone; the new request is a step of its own, named after its fingerprint.
        """
        self._use(name)
        if self._model is None:
            raise TaskError("no model is configured", code=ModelNotConfigured.code, retryable=False)
        mark = fingerprint(request.model_dump_json().encode())
        entry = self._journaled(name)
        if entry is not None and entry.fingerprint != mark:
            await self._report_change(name)
            name = f"{name}~{mark[:8]}"
            entry = self._journaled(name)
        if entry is not None:
            return _value(name, entry, ModelReply)
        async with self._control:
            # Outside the patience that follows: nothing is sent before the ledger has confirmed the claim.
            await patiently(lambda: self._ledger.begin_call(self._claim, name))
            reply = await self._call(self._model, name, request)
            call = ModelCall(name, reply.model, reply.input_tokens, reply.output_tokens, reply.usd, reply.ms)
            await self._record(name, reply, mark, call, paid=True)
        return reply

    async def _call(self, model: ModelClient, name: str, request: ModelRequest) -> ModelReply:
        key = f"{self.task.id}:{name}"
        try:
            return await model.complete(request, idempotency_key=key, fence=self._claim.fence)
        except ModelError as error:
            await self._count_failure(request.model, model.default_model, error.code)
            raise

    async def _report_change(self, name: str) -> None:
        log.warning("journal_mismatch", task_id=self.task.id, step=name)
        await self.emit("journal_mismatch", {"step": name})

    async def _count_failure(self, named: str | None, own: str | None, code: str) -> None:
        asked = named or own or UNNAMED_MODEL
        try:
            await self._ledger.count_failed_call(asked, code, own=asked == own)
        except LedgerUnavailable:
            log.warning("model_failure_not_counted", task_id=self.task.id, code=code)

    async def fetch(self, url: str, *, mode: Mode = "auto", keep: Callable[[Page], Page] | None = None) -> Page:
        """See `AgentContext.fetch`."""

        async def fetch(purchase: Purchase) -> FetchStep:
            terms = replace(self._terms, before_payment=purchase.begin)
            try:
                with tool_span("fetch"):
                    page = await self._fetcher.fetch(url, mode=mode, terms=terms)
                return FetchStep(page=page if keep is None else keep(page))
            except FetchError as error:
                if error.retryable:  # a later attempt may fare better, so nothing is journaled
                    if time.monotonic() > self._terms.deadline - CLOCK_S:
                        raise OutOfTime(error) from error
                    raise
                return FetchStep(failure=JournaledFailure(code=error.code, message=error.message, url=error.url))

        name = f"fetch:{mode}:{url}"
        replayed = name in self._claimed.journal
        step = await self._step(name, fetch, FetchStep)
        if step.failure is not None:
            raise FetchError(step.failure.message, code=step.failure.code, url=step.failure.url)
        assert step.page is not None
        if replayed and step.page.js_rendered:
            self._renders.take()
        return step.page

    async def sitemap(self, url: str, *, limit: int) -> list[str]:
        """See `AgentContext.sitemap`."""

        async def look() -> SitemapStep:
            with tool_span("sitemap"):
                return SitemapStep(urls=await self._fetcher.sitemap(url, limit=limit, terms=self._terms))

        return (await self.step(f"sitemap:{url}", look, SitemapStep)).urls

    async def web_search(
        self, name: str, query: str, *, provider: Literal["auto", "tavily", "exa"], limit: int
    ) -> SearchReply:
        """See `AgentContext.web_search`."""

        async def search(purchase: Purchase) -> SearchReply:
            await purchase.begin()
            with tool_span("web_search"):
                return await self._search.search(query, provider=provider, limit=limit)

        return await self._step(name, search, SearchReply)

    def require_search(self, provider: Literal["auto", "tavily", "exa"]) -> None:
        """See `AgentContext.require_search`."""
        self._search.require(provider)

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """See `AgentContext.embed`."""
        self._control.raise_if_cancelled()
        if self._embedder is None:
            raise EmbeddingsUnavailable("no embeddings are configured", retryable=False)
        return await self._embedder.embed(texts)

    async def earlier(self, keys: Sequence[str]) -> list[EarlierTask]:
        """See `AgentContext.earlier`."""
        self._control.raise_if_cancelled()
        if self._earlier is None:
            return []
        with tool_span("earlier_results"):
            return await self._earlier.find(self.task, keys)

    async def emit(self, kind: str, data: Mapping[str, Any]) -> None:
        """See `AgentContext.emit`."""
        self._control.raise_if_cancelled()
        text = orjson.dumps(dict(data))
        await patiently(lambda: self._ledger.emit(self._claim, kind, text))

    async def progress(self, done: int, total: int, note: str = "") -> None:
        """See `AgentContext.progress`."""
        self._control.raise_if_cancelled()
        if done >= self._furthest:
            self._furthest, self._untold = done, Progress(done, total, note[:200])
        async with self._telling:  # calls that are under way together may overtake each other
            untold, self._untold = self._untold, None
            if untold is not None:
                await patiently(lambda: self._ledger.progress(self._claim, untold))
        # A long agent without a step would otherwise starve others that share the loop.
        await asyncio.sleep(0)


def _value(name: str, entry: Entry, returns: type[T]) -> T:
    try:
        return returns.model_validate_json(entry.text)
    except ValidationError as error:
        raise _mismatch(name) from error


def _mismatch(name: str) -> TaskError:
    return TaskError(f"the journal's step {name!r} does not fit this version of the agent", code="journal_mismatch")
