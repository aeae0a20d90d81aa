"""What each worker type takes: the `input` of `POST /tasks`, validated before anything is enqueued."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from codeforge.file_paths import checked_path
from codeforge.worker_types import WorkerType

MAX_URLS = 200
MAX_FILES = 200
MAX_DEPTH = 5


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("has nothing but white space")
    return text


def _plain_path(path: str) -> str:
    """As the model is asked to write it: a file under another spelling would be a new one."""
    plain = checked_path(path)
    if plain != path:
        raise ValueError(f"write it as {plain!r}")
    return path


Url = Annotated[str, StringConstraints(min_length=1, max_length=2_048, strip_whitespace=True)]
Prompt = Annotated[str, StringConstraints(min_length=1, max_length=50_000), AfterValidator(_not_blank)]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=2_000), AfterValidator(_not_blank)]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
FilePath = Annotated[str, AfterValidator(_plain_path)]
FileText = Annotated[str, StringConstraints(max_length=500_000)]


class TaskInput(BaseModel):
    """Base: unknown fields are refused, and nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    def outgoing_urls(self) -> list[tuple[str, str]]:
        """(field path, URL) of every address that the client chose, for the outgoing guard."""
        return []


class CrawlOptions(TaskInput):
    """Breadth-first from `url`: at most `depth` links away and `max_pages` pages. With `sitemap`, what the
    site's sitemap names counts as one link away."""

    depth: int = Field(default=1, ge=0, le=10)
    max_pages: int = Field(default=20, ge=1, le=1_000)
    same_site: bool = True
    sitemap: bool = True


class ScrapeInput(TaskInput):
    """Either `urls`, or `url` with or without `crawl`."""

    urls: list[Url] | None = Field(default=None, min_length=1, max_length=MAX_URLS)
    url: Url | None = None
    crawl: CrawlOptions | None = None
    mode: Literal["auto", "standard", "rendered"] = "auto"
    formats: list[Literal["markdown", "links"]] = Field(default=["markdown", "links"], min_length=1, max_length=2)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.urls is None) == (self.url is None):
            raise ValueError("give either urls or url")
        if self.crawl is not None and self.url is None:
            raise ValueError("crawl goes with url")
        return self

    def outgoing_urls(self) -> list[tuple[str, str]]:
        """Every page that was asked for by name."""
        if self.url is not None:
            return [("url", self.url)]
        return [(f"urls.{index}", url) for index, url in enumerate(self.urls or ())]


class AnalysisInput(TaskInput):
    """A question to research; `depth` sets the breadth (1 to 5). With `reuse`, the tenant's fresh result for the same
    question is given instead, where there is one."""

    question: Prompt
    urls: list[Url] = Field(default=[], max_length=MAX_URLS)
    depth: int = Field(default=1, ge=1, le=MAX_DEPTH)
    search: Literal["auto", "tavily", "exa", "none"] = "auto"
    reuse: bool = True

    def outgoing_urls(self) -> list[tuple[str, str]]:
        """The sources that the client gave."""
        return [(f"urls.{index}", url) for index, url in enumerate(self.urls)]


class DebateInput(TaskInput):
    """A question argued over `rounds` by one speaker per position; `sides` asks for so many positions."""

    question: Prompt
    positions: list[ShortText] | None = Field(default=None, min_length=2, max_length=6)
    sides: int | None = Field(default=None, ge=2, le=6)
    rounds: int = Field(default=2, ge=1, le=6)
    models: list[ModelName] = Field(default=[], max_length=6)

    @model_validator(mode="after")
    def _positions_or_sides(self) -> Self:
        if self.positions is not None and self.sides is not None:
            raise ValueError("give positions or sides, not both")
        return self


class CodingInput(TaskInput):
    """A change to `files`; `tests` (files) or `test_command` say when it is done."""

    prompt: Prompt
    language: Annotated[str, StringConstraints(min_length=1, max_length=40), AfterValidator(_not_blank)] = "python"
    files: dict[FilePath, FileText] = Field(default={}, max_length=MAX_FILES)
    tests: dict[FilePath, FileText] | None = Field(default=None, max_length=MAX_FILES)
    test_command: (
        Annotated[str, StringConstraints(min_length=1, max_length=1_000), AfterValidator(_not_blank)] | None
    ) = None
    max_iterations: int = Field(default=3, ge=1, le=20)

    @model_validator(mode="after")
    def _tests_or_command(self) -> Self:
        if self.tests is not None and self.test_command is not None:
            raise ValueError("give tests or test_command, not both")
        return self


INPUTS: dict[WorkerType, type[TaskInput]] = {
    WorkerType.SCRAPE: ScrapeInput,
    WorkerType.ANALYSIS: AnalysisInput,
    WorkerType.DEBATE: DebateInput,
    WorkerType.CODING: CodingInput,
}
