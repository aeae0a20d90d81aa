"""A search service, and hits in this project's form."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from codeforge.agent import SearchHit, SearchReply
from codeforge.errors import SearchError
from codeforge.task import JsonObject
from codeforge.urls import is_web_url

MAX_URL_CHARS = 2_048
MAX_TITLE_CHARS = 500
MAX_SNIPPET_CHARS = 2_000


class SearchProvider(Protocol):
    """Port: one search service."""

    async def search(self, query: str, limit: int) -> SearchReply:
        """At most `limit` hits, best first; a warning tells how many could not be read. Raises SearchError."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...


class Result(BaseModel):
    """Base of what is read of one result; services add fields as they like."""

    model_config = ConfigDict(extra="ignore")


R = TypeVar("R", bound=Result)


def read_results(model: type[R], answer: JsonObject, provider: str) -> tuple[list[R], list[str]]:
    """The answer's `results` that are of that form, and a warning that counts the others, if there are any. Raises
    SearchError `search_bad_output` when there is no list, or nothing in it that can be read."""
    listed = answer.get("results")
    if not isinstance(listed, list):
        raise _bad_output(provider)
    read: list[R] = []
    cause: ValidationError | None = None
    for entry in listed:
        try:
            read.append(model.model_validate(entry))
        except ValidationError as exc:
            cause = exc
    if cause is None:
        return read, []
    if not read:
        raise _bad_output(provider) from cause
    return read, [f"{provider}: {len(listed) - len(read)} of {len(listed)} results could not be read"]


def as_hits(found: Iterable[tuple[str, str | None, str | None]], limit: int) -> list[SearchHit]:
    """The first `limit` of (URL, title, snippet) that lead to a page, their texts cut to bounds."""
    hits = [
        SearchHit(url=url, title=_text(title, MAX_TITLE_CHARS), snippet=_text(snippet, MAX_SNIPPET_CHARS))
        for url, title, snippet in found
        if is_web_url(url) and len(url) <= MAX_URL_CHARS
    ]
    return hits[:limit]


def _text(text: str | None, limit: int) -> str:
    return " ".join((text or "").split())[:limit]


def _bad_output(provider: str) -> SearchError:
    return SearchError(f"{provider} answered what is no list of results", code="search_bad_output", retryable=True)
