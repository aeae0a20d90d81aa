"""Tavily's search API: https://docs.tavily.com/documentation/api-reference/endpoint/search"""

from pydantic import SecretStr

from codeforge.agent import SearchReply
from codeforge.web.search_connection import SearchConnection, SearchLimits
from codeforge.web.search_hits import Result, as_hits, read_results

MAX_HITS = 20
MAX_QUERY_CHARS = 400  # it refuses longer ones


class _Result(Result):
    url: str
    title: str | None = None
    content: str | None = None


class TavilySearch:
    """A SearchProvider: `POST /search` with a bearer key. A hit's snippet is its `content`."""

    def __init__(self, base_url: str, key: SecretStr, limits: SearchLimits | None = None) -> None:
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"}
        self._connection = SearchConnection("Tavily", base_url, key, headers, limits)

    async def search(self, query: str, limit: int) -> SearchReply:
        """At most `limit` and 20 hits; a query is cut to 400 characters. Raises SearchError."""
        body = {"query": query[:MAX_QUERY_CHARS], "max_results": min(limit, MAX_HITS), "search_depth": "basic"}
        results, warnings = read_results(_Result, await self._connection.post("search", body), "Tavily")
        hits = as_hits(((found.url, found.title, found.content) for found in results), limit)
        return SearchReply(hits=hits, warnings=warnings)

    async def close(self) -> None:
        """Closes its connections."""
        await self._connection.close()
