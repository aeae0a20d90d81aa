"""A search service, and hits in this project's form."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from codeforge.agent import SearchHit
from codeforge.errors import SearchError
from codeforge.task import JsonObject
from codeforge.urls import is_web_url

MAX_URL_CHARS = 2_048
MAX_TITLE_CHARS = 500
MAX_SNIPPET_CHARS = 2_000


class SearchProvider(Protocol):
    """Port: one search service."""

    async def search(self, query: str, limit: int) -> list[SearchHit]:
        """At most `limit` hits, best first. Raises SearchError."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...


class Answer(BaseModel):
    """Base of what is read of an answer; services add fields as they like."""

    model_config = ConfigDict(extra="ignore")


A = TypeVar("A", bound=Answer)


def read_answer(model: type[A], answer: JsonObject, provider: str) -> A:
    """Raises SearchError `search_bad_output` when the answer is not of that form."""
    try:
        return model.model_validate(answer)
    except ValidationError as exc:
        message = f"{provider} answered what is no list of results"
        raise SearchError(message, code="search_bad_output", retryable=True) from exc


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
