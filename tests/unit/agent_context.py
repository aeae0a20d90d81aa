"""An `AgentContext` without a service behind it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from codeforge.agent import EarlierTask, ModelClient, ModelReply, ModelRequest, SearchReply
from codeforge.errors import EmbeddingsUnavailable, FetchError, TaskError
from codeforge.results import Page
from codeforge.task import Task, TaskState
from codeforge.worker_types import Priority, WorkerType

T = TypeVar("T", bound=BaseModel)

Answer = Callable[[ModelRequest], str]
Keep = Callable[[Page], Page]


def page(url: str, markdown: str, title: str = "A page") -> Page:
    """A fetched page with this text."""
    return Page(
        url=url, final_url=url, status_code=200, title=title, markdown=markdown,
        content_hash=sha256(markdown.encode()).hexdigest(),
    )  # fmt: skip


@dataclass
class FakeContext:
    """Journals in memory. A model call goes to `client`, or takes the answer of the step's name in `answers` (a text,
    or a function of the request); `pages` and `hits` are the web, `stored` earlier tasks by the keys that find them.
    Records what the agent did."""

    answers: Mapping[str, str | Answer] = field(default_factory=dict)
    pages: Mapping[str, Page] = field(default_factory=dict)
    hits: SearchReply | TaskError | Mapping[str, SearchReply | TaskError] | None = None
    vectors: Callable[[str], list[float]] | None = None
    client: ModelClient | None = None
    sitemaps: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sitemaps_read: list[str] = field(default_factory=list)
    requests: dict[str, ModelRequest] = field(default_factory=dict)
    events: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    reports: list[tuple[int, int, str]] = field(default_factory=list)
    searches: list[tuple[str, str, int]] = field(default_factory=list)
    steps: dict[str, BaseModel] = field(default_factory=dict)
    cancelled: bool = False
    stored: Mapping[str, EarlierTask] | TaskError = field(default_factory=dict)
    looked_for: list[Sequence[str]] = field(default_factory=list)

    @property
    def task(self) -> Task:
        """Some task."""
        return Task(
            id="t1", tenant="default", type=WorkerType.CODING, state=TaskState.RUNNING, priority=Priority.NORMAL,
            input=b"{}", labels=b"{}", parent_id=None, created_at=0, timeout_s=60, max_attempts=3,
        )  # fmt: skip

    async def step(self, name: str, run: Callable[[], Awaitable[T]], returns: type[T]) -> T:
        """Runs it once by name."""
        if name not in self.steps:
            self.steps[name] = await run()
        found = self.steps[name]
        assert isinstance(found, returns)
        return found

    async def model(self, name: str, request: ModelRequest) -> ModelReply:
        """One journaled call."""
        assert name not in self.requests, f"two model calls are named {name}"
        self.requests[name] = request
        return await self.step(name, lambda: self._call(name, request), ModelReply)

    async def fetch(
        self, url: str, *, mode: Literal["auto", "standard", "rendered"] = "auto", keep: Keep | None = None
    ) -> Page:
        """The prepared page of that URL, as far as it is to be kept."""
        if url not in self.pages:
            raise FetchError(f"cannot connect to {url}", code="connect_failed", url=url)
        return self.pages[url] if keep is None else keep(self.pages[url])

    async def sitemap(self, url: str, *, limit: int) -> list[str]:
        """The prepared addresses."""
        self.sitemaps_read.append(url)
        return list(self.sitemaps.get(url, []))[:limit]

    async def web_search(
        self, name: str, query: str, *, provider: Literal["auto", "tavily", "exa"], limit: int
    ) -> SearchReply:
        """The prepared hits, or the prepared error; by the query where `hits` tells them apart."""
        self.searches.append((query, provider, limit))
        self.require_search(provider)
        assert self.hits is not None
        found = self.hits.get(query, SearchReply(hits=[])) if isinstance(self.hits, Mapping) else self.hits
        if isinstance(found, TaskError):
            raise found
        return found

    def require_search(self, provider: Literal["auto", "tavily", "exa"]) -> None:
        """There are prepared hits."""
        if self.hits is None:
            raise TaskError("set TAVILY_API_KEY or EXA_API_KEY", code="search_not_configured")

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """What `vectors` gives for each, where it is there."""
        if self.vectors is None:
            raise EmbeddingsUnavailable("no embeddings are configured")
        return [self.vectors(text) for text in texts]

    async def earlier(self, keys: Sequence[str]) -> list[EarlierTask]:
        """What `stored` has under the keys, or the prepared error."""
        self.looked_for.append(keys)
        if isinstance(self.stored, TaskError):
            raise self.stored
        return [self.stored[key] for key in keys if key in self.stored]

    async def emit(self, kind: str, data: Mapping[str, Any]) -> None:
        """Records it."""
        self.events.append((kind, data))

    async def progress(self, done: int, total: int, note: str = "") -> None:
        """Records it."""
        self.reports.append((done, total, note))

    async def _call(self, name: str, request: ModelRequest) -> ModelReply:
        if self.client is not None:
            return await self.client.complete(request, idempotency_key=f"t1:{name}", fence=1)
        answer = self.answers[name]
        text = answer if isinstance(answer, str) else answer(request)
        return ModelReply(
            text=text, model=request.model or "fake", input_tokens=10, output_tokens=len(text.split()), usd=0.0,
            finish_reason="stop", ms=1,
        )  # fmt: skip
