"""What each worker type gives back: the `result` of a succeeded task."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from codeforge.worker_types import WorkerType


class ResultModel(BaseModel):
    """Base of results and their parts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def counts(self) -> Mapping[str, float]:
        """What is added to the ledger's counters (see `codeforge.metrics`) when a task ends with this result."""
        return {}


class Notice(ResultModel):
    """Something that the reader of a result must know. `code` is stable, such as `sandbox_unavailable`."""

    code: str
    message: str


class Page(ResultModel):
    """One page as fetched and extracted. `links` are absolute URLs without fragments, each once, in page order;
    `content_hash` is the SHA-256 of the Markdown, in hex. `method` is which way it was fetched and `method_reason` why;
    `cost` is what a paid way cost, in the unit of the service's own figure (ZenRows: `X-Request-Cost`). `author`,
    `date` (YYYY-MM-DD), `language` (BCP 47) and `json_ld` are what the page says of itself. `truncated`: a PDF had
    more pages or text than is read."""

    url: str
    final_url: str
    status_code: int
    method: Literal["standard", "zenrows"] = "standard"
    js_rendered: bool = False
    method_reason: str = ""
    cost: float = 0.0
    title: str = ""
    author: str = ""
    date: str = ""
    language: str = ""
    json_ld: list[dict[str, Any]] = Field(default_factory=list)
    markdown: str = ""
    truncated: bool = False
    links: list[str] = Field(default_factory=list)
    content_hash: str


class FailedPage(ResultModel):
    """A URL that could not be had; `code` is one of `FetchError`'s."""

    url: str
    code: str
    message: str


class ScrapeResult(ResultModel):
    """`warnings` tell what was left out, and why the task ended early, if it did."""

    pages: list[Page]
    failed: list[FailedPage]
    warnings: list[Notice] = Field(default_factory=list)


class SourcePassage(ResultModel):
    """A part of a source that is cited: `start` is the place of its first character in the source's text."""

    start: int
    text: str


class Source(ResultModel):
    """A source of a report; `n` is its number in the citations, from 1. Its text is the page's Markdown, whose SHA-256
    is `content_hash`; `passages` are the parts of it that the spans of claims lie in."""

    n: int
    url: str
    title: str = ""
    excerpt: str = ""
    content_hash: str = ""
    passages: list[SourcePassage] = Field(default_factory=list)


class Span(ResultModel):
    """A place in the text of the source with this number: characters from `start` to `end`, which are `quote`."""

    source: int
    start: int
    end: int
    quote: str


class Claim(ResultModel):
    """A statement of fact. `supported` is true only where `spans` bear it out, and `sources` are the sources of those;
    else both are empty and `reason` says why. `id` is its id in the graph."""

    text: str
    sources: list[int]
    supported: bool
    id: str = ""
    spans: list[Span] = Field(default_factory=list)
    reason: str = ""


class Contradiction(ResultModel):
    """Two sources that say different things. `found_by` is `model`, or `comparison` where two sentences differ in
    nothing but a number or a negation."""

    text: str
    spans: list[Span]
    found_by: Literal["model", "comparison"]


class Work(ResultModel):
    """What an analysis asked for, over all its attempts: pages, web searches, model calls. Each counts once, whether it
    came to something or not, and from wherever it came."""

    fetches: int = 0
    searches: int = 0
    model_calls: int = 0


class Saved(Work):
    """What need not be done again: the earlier task's work, and what that spent on models."""

    tokens: int = 0
    usd: float = 0.0


class Reused(ResultModel):
    """Whose result this is. `question` is as it was asked then, `created_at` when (RFC 3339, UTC), and `age_s` how long
    ago, in seconds."""

    task_id: str
    question: str
    created_at: str
    age_s: float
    saved: Saved


class AnalysisResult(ResultModel):
    """`report` is Markdown with [n] citations into `sources`; what it states is in `claims`, sentence by sentence.
    `questions` are those that were looked into. With `reused` all of it, the claims' ids too, is an earlier task's, and
    this one did no `work`."""

    report: str
    claims: list[Claim]
    sources: list[Source]
    contradictions: list[Contradiction] = Field(default_factory=list)
    questions: list[str] = Field(default_factory=list)
    failed: list[FailedPage] = Field(default_factory=list)
    warnings: list[Notice] = Field(default_factory=list)
    work: Work = Field(default_factory=Work)
    reused: Reused | None = None

    def counts(self) -> Mapping[str, float]:
        """See `ResultModel.counts`."""
        if self.reused is None:
            return {}
        saved = self.reused.saved.model_dump()
        return {"reused:analysis": 1, "reuse_saved_usd": saved.pop("usd")} | {
            f"reuse_saved:{what}": n for what, n in saved.items()
        }


class Turn(ResultModel):
    """One speech. `id` is `r<round>s<speaker>`, unique in the debate; `rebuts` are ids of earlier turns."""

    id: str
    round: int
    speaker: str
    text: str
    rebuts: list[str]


class Verdict(ResultModel):
    """`winner` is a speaker or `none`; `confidence` from 0 to 1."""

    winner: str
    confidence: float = Field(ge=0, le=1)
    reasons: list[str]


class DebateControl(ResultModel):
    """The same question answered alone, on as many output tokens as the debate was allowed."""

    text: str
    model: str
    output_tokens: int
    token_limit: int


class DebateResult(ResultModel):
    transcript: list[Turn]
    verdict: Verdict
    control: DebateControl
    warnings: list[Notice] = Field(default_factory=list)


class TestReport(ResultModel):
    """Outcome of a test run: counts, and the tail of its output."""

    __test__ = False

    passed: int
    failed: int
    output: str


class Iteration(ResultModel):
    """One round of the coding agent: what it did, and how the tests went (null where none ran)."""

    n: int
    summary: str
    files_changed: list[str]
    tests: TestReport | None = None


class CodingResult(ResultModel):
    """`files` are the changed and added files, whole; `diff` is unified against the input."""

    files: dict[str, str]
    diff: str
    tests: TestReport | None
    iterations: list[Iteration]
    warnings: list[Notice] = Field(default_factory=list)


RESULTS: dict[WorkerType, type[ResultModel]] = {
    WorkerType.SCRAPE: ScrapeResult,
    WorkerType.ANALYSIS: AnalysisResult,
    WorkerType.DEBATE: DebateResult,
    WorkerType.CODING: CodingResult,
}
