"""Web search over whichever services have a key.

Their addresses are the operator's, so no guard stands before them; the pages that they name are fetched through it like
any other.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Literal

from codeforge.agent import SearchHit, SearchReply
from codeforge.errors import SearchError
from codeforge.settings import WebSettings
from codeforge.urls import canonical_url
from codeforge.web.exa import ExaSearch
from codeforge.web.search_connection import SearchLimits
from codeforge.web.search_hits import SearchProvider
from codeforge.web.tavily import TavilySearch

KEY_SETTINGS = {"tavily": "CODEFORGE_TAVILY_API_KEY", "exa": "CODEFORGE_EXA_API_KEY"}


def configured_providers(settings: WebSettings, limits: SearchLimits | None = None) -> dict[str, SearchProvider]:
    """A client for each service that has a key, by the name that tasks use."""
    providers: dict[str, SearchProvider] = {}
    if settings.tavily_api_key is not None:
        providers["tavily"] = TavilySearch(settings.tavily_base_url, settings.tavily_api_key, limits)
    if settings.exa_api_key is not None:
        providers["exa"] = ExaSearch(settings.exa_base_url, settings.exa_api_key, limits)
    return providers


class ConfiguredSearch:
    """The WebSearch of a worker process."""

    def __init__(self, settings: WebSettings, limits: SearchLimits | None = None) -> None:
        self._providers = configured_providers(settings, limits)

    async def search(self, query: str, *, provider: Literal["auto", "tavily", "exa"], limit: int) -> SearchReply:
        """At most `limit` hits, each page once. `auto` asks every configured service at once, takes their hits by
        turns, and turns the failure of some, and what could not be read, into warnings. Raises SearchError:
        `search_not_configured` without a key, else when all that were asked failed."""
        asked = self._asked(provider)
        answers = await asyncio.gather(*(_ask(service, query, limit) for service in asked.values()))
        found = [answer for answer in answers if not isinstance(answer, SearchError)]
        failures = [answer for answer in answers if isinstance(answer, SearchError)]
        if not found:
            raise _worst(failures)
        warnings = [text for reply in found for text in reply.warnings] + [failure.message for failure in failures]
        return SearchReply(hits=_merged([reply.hits for reply in found])[:limit], warnings=warnings)

    def require(self, provider: Literal["auto", "tavily", "exa"]) -> None:
        """See `WebSearch.require`."""
        self._asked(provider)

    async def close(self) -> None:
        """Closes every service's connections."""
        for service in self._providers.values():
            await service.close()

    def _asked(self, provider: Literal["auto", "tavily", "exa"]) -> Mapping[str, SearchProvider]:
        names = list(KEY_SETTINGS) if provider == "auto" else [provider]
        asked = {name: self._providers[name] for name in names if name in self._providers}
        if not asked:
            keys = " or ".join(KEY_SETTINGS[name] for name in names)
            raise SearchError(f"web search is not configured: set {keys}", code="search_not_configured")
        return asked


async def _ask(service: SearchProvider, query: str, limit: int) -> SearchReply | SearchError:
    try:
        return await service.search(query, limit)
    except SearchError as error:
        return error


def _worst(failures: Sequence[SearchError]) -> SearchError:
    """One error for all: worth a retry as soon as one of them is."""
    told = next((failure for failure in failures if failure.retryable), failures[0])
    return SearchError("; ".join(failure.message for failure in failures), code=told.code, retryable=told.retryable)


def _merged(answers: Iterable[list[SearchHit]]) -> list[SearchHit]:
    """First hits first: ranks compare between services, scores do not."""
    hits: dict[str, SearchHit] = {}
    for hit in chain.from_iterable(zip_longest(*answers)):
        if hit is not None:
            hits.setdefault(canonical_url(hit.url), hit)
    return list(hits.values())
