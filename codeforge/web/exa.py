"""Exa's search API: https://exa.ai/docs/reference/search"""

from pydantic import SecretStr

from codeforge.agent import SearchReply
from codeforge.web.search_connection import SearchConnection, SearchLimits
from codeforge.web.search_hits import Result, as_hits, read_results

MAX_HITS = 100


class _Result(Result):
    url: str
    title: str | None = None
    highlights: list[str] | None = None


class ExaSearch:
    """A SearchProvider: `POST /search` with `x-api-key`. A hit's snippet is its `highlights`."""

    def __init__(self, base_url: str, key: SecretStr, limits: SearchLimits | None = None) -> None:
        self._connection = SearchConnection("Exa", base_url, key, {"x-api-key": key.get_secret_value()}, limits)

    async def search(self, query: str, limit: int) -> SearchReply:
        """At most `limit` and 100 hits. Raises SearchError."""
        body = {"query": query, "type": "auto", "numResults": min(limit, MAX_HITS), "contents": {"highlights": True}}
        results, warnings = read_results(_Result, await self._connection.post("search", body), "Exa")
        hits = as_hits(((found.url, found.title, " ".join(found.highlights or ())) for found in results), limit)
        return SearchReply(hits=hits, warnings=warnings)

    async def close(self) -> None:
        """Closes its connections."""
        await self._connection.close()
