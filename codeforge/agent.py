"""What an agent is, and all that it may ask of the service. Agents see nothing else of `codeforge`."""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from codeforge.results import Page, ResultModel
from codeforge.task import Task, Usage
from codeforge.worker_types import WorkerType

T = TypeVar("T", bound=BaseModel)


class Message(BaseModel):
    """One chat message."""

    model_config = ConfigDict(frozen=True)

    role: Literal["system", "user", "assistant"]
    content: str


class ModelRequest(BaseModel):
    """One model call. `model` None means the configured one; `json_schema` asks for an answer of that shape,
    which the service enforces where the model's server allows and which the caller must check all the same."""

    model_config = ConfigDict(frozen=True)

    messages: list[Message]
    model: str | None = None
    max_tokens: int = 1_024
    temperature: float = 0.2
    json_schema: dict[str, Any] | None = None
    schema_name: str = "answer"


class ModelReply(BaseModel):
    """A model's answer and what it cost. `ms` is the call's duration in milliseconds."""

    model_config = ConfigDict(frozen=True)

    text: str
    model: str
    input_tokens: int
    output_tokens: int
    usd: float
    finish_reason: str
    ms: int

    @property
    def usage(self) -> Usage:
        """The call's share of the task's usage."""
        return Usage(self.input_tokens, self.output_tokens, self.usd)


class SearchHit(BaseModel):
    """One hit of a web search."""

    model_config = ConfigDict(frozen=True)

    url: str
    title: str = ""
    snippet: str = ""


class SearchReply(BaseModel):
    """Hits of one query, best first; `warnings` name providers that failed, or gave hits that cannot be read."""

    model_config = ConfigDict(frozen=True)

    hits: list[SearchHit]
    warnings: list[str] = []


class EarlierTask(BaseModel):
    """A task of the same tenant and type that succeeded: its input and result (JSON), what it spent on models, when it
    was submitted (milliseconds since the epoch), and how long ago that is."""

    model_config = ConfigDict(frozen=True)

    id: str
    input: str
    result: str
    tokens: int
    usd: float
    created_at: int
    age_s: float


class AgentContext(Protocol):
    """An agent's view of the service. Every method may raise `asyncio.CancelledError`: the task was cancelled, ran
    out of time, or the worker is shutting down; an agent lets it pass."""

    @property
    def task(self) -> Task:
        """The task, as claimed."""
        ...

    @property
    def cancelled(self) -> bool:
        """Whether the task should stop at its next step."""
        ...

    async def step(self, name: str, run: Callable[[], Awaitable[T]], returns: type[T]) -> T:
        """Runs `run` once in the task's life and journals what it returns; a later attempt gets the journaled
        value without running it. `name` is unique in the task and the same in every attempt."""
        ...

    async def model(self, name: str, request: ModelRequest) -> ModelReply:
        """A journaled model call: `step` around the model's service. Raises ModelError."""
        ...

    async def fetch(
        self,
        url: str,
        *,
        mode: Literal["auto", "standard", "rendered"] = "auto",
        keep: Callable[[Page], Page] | None = None,
    ) -> Page:
        """A journaled fetch of one page through the outgoing guard, rendered where `auto` finds that it must be, as
        long as the task may. `keep` leaves out what the agent will not use, so that the journal does not hold it.
        Raises FetchError."""
        ...

    async def sitemap(self, url: str, *, limit: int) -> list[str]:
        """A journaled look at the sitemap of the URL's site: at most `limit` pages that it names, as it names them. A
        site without one, or whose sitemap cannot be had, names none."""
        ...

    async def web_search(
        self, name: str, query: str, *, provider: Literal["auto", "tavily", "exa"], limit: int
    ) -> SearchReply:
        """A journaled web search. Raises TaskError `search_not_configured` where no key is set."""
        ...

    def require_search(self, provider: Literal["auto", "tavily", "exa"]) -> None:
        """Costs nothing. Raises TaskError `search_not_configured` where `web_search` would."""
        ...

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """One unit vector a text, in order. Not journaled: what follows from vectors belongs into a `step`. Raises
        EmbeddingsUnavailable, also where no embeddings are configured, and RowRejected for a text that is refused for
        what it is."""
        ...

    async def earlier(self, keys: Sequence[str]) -> list[EarlierTask]:
        """What was stored under one of these keys and is not too old, the newest first; none where nothing is to be
        reused. A key finds and proves nothing: look at the input. Not journaled: what follows belongs into a `step`.
        Raises TaskError `reuse_unavailable` where it cannot be looked up, within seconds."""
        ...

    async def emit(self, kind: str, data: Mapping[str, Any]) -> None:
        """Adds an event to the task's stream."""
        ...

    async def progress(self, done: int, total: int, note: str = "") -> None:
        """Reports how far the task is; clients see the last report. What is less far than an earlier report, be it of
        another attempt, is not told: progress does not go back."""
        ...


class Agent(Protocol):
    """One worker type's logic. `run` gets the validated input and returns the type's result model."""

    type: WorkerType

    async def run(self, ctx: AgentContext, task_input: Any) -> ResultModel:
        """Does the task. Raises TaskError (or a subclass) to fail it."""
        ...


class ModelClient(Protocol):
    """Port: the model's service."""

    @property
    def default_model(self) -> str | None:
        """The model that answers where a request names none; None while it is not known."""
        ...

    async def complete(self, request: ModelRequest, *, idempotency_key: str, fence: int) -> ModelReply:
        """One call, sent with `Idempotency-Key` and `X-CodeForge-Fence`. Raises ModelError."""
        ...

    async def ping(self) -> None:
        """Checks address and key without spending tokens. Raises ModelError."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...


class TextEmbedder(Protocol):
    """Port: what gives texts their vectors."""

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """See `AgentContext.embed`."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...


class EarlierResults(Protocol):
    """Port: what a tenant's tasks found before."""

    async def find(self, task: Task, keys: Sequence[str]) -> list[EarlierTask]:
        """See `AgentContext.earlier`."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...


NEVER_MS = 1 << 62


class RenderAllowance:
    """How many pages one attempt may have rendered, which costs money."""

    def __init__(self, pages: int) -> None:
        self.left = pages

    def take(self) -> bool:
        """Takes one, if there is one left."""
        if self.left < 1:
            return False
        self.left -= 1
        return True


@dataclass(frozen=True, slots=True)
class FetchTerms:
    """For whom a page is fetched. `task` takes over what an attempt of its own began and died of. `deadline` is the
    `time.monotonic()` at which waiting for it is of no use any more; without `renders` as many pages are rendered as
    need it. `since_ms` is when the page was first wanted, in milliseconds since the epoch: another task's copy of it
    serves when it is not older. `before_payment` is awaited right before a page is rendered; what it raises passes."""

    tenant: str = ""
    task: str = ""
    since_ms: int = NEVER_MS
    deadline: float = math.inf
    renders: RenderAllowance | None = None
    before_payment: Callable[[], Awaitable[None]] | None = None


ANY_TERMS = FetchTerms()


class PageFetcher(Protocol):
    """Port: fetching and extracting one web page."""

    @property
    def renders_per_task(self) -> int:
        """How many pages a task may have rendered."""
        ...

    async def fetch(
        self, url: str, *, mode: Literal["auto", "standard", "rendered"], terms: FetchTerms = ANY_TERMS
    ) -> Page:
        """Raises FetchError."""
        ...

    async def sitemap(self, url: str, *, limit: int, terms: FetchTerms = ANY_TERMS) -> list[str]:
        """See `AgentContext.sitemap`."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...


class WebSearch(Protocol):
    """Port: web search providers."""

    def require(self, provider: Literal["auto", "tavily", "exa"]) -> None:
        """Raises TaskError `search_not_configured` where no key is set."""
        ...

    async def search(self, query: str, *, provider: Literal["auto", "tavily", "exa"], limit: int) -> SearchReply:
        """Raises TaskError."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...
