"""Exa's search API: https://exa.ai/docs/reference/search"""

from pydantic import SecretStr

from codeforge.agent import SearchHit
from codeforge.web.search_connection import SearchConnection, SearchLimits
from codeforge.web.search_hits import Answer, as_hits, read_answer

MAX_HITS = 100


class _Result(Answer):
    url: str
    title: str | None = None
    highlights: list[str] | None = None


class _Results(Answer):
    results: list[_Result]


class ExaSearch:
    """A SearchProvider: `POST /search` with `x-api-key`. A hit's snippet is its `highlights`."""

    def __init__(self, base_url: str, key: SecretStr, limits: SearchLimits | None = None) -> None:
        self._connection = SearchConnection("Exa", base_url, key, {"x-api-key": key.get_secret_value()}, limits)

    async def search(self, query: str, limit: int) -> list[SearchHit]:
        """At most `limit` and 100 hits. Raises SearchError."""
        body = {"query": query, "type": "auto", "numResults": min(limit, MAX_HITS), "contents": {"highlights": True}}
        answer = read_answer(_Results, await self._connection.post("search", body), "Exa")
        return as_hits(((found.url, found.title, " ".join(found.highlights or ())) for found in answer.results), limit)

    async def close(self) -> None:
        """Closes its connections."""
        await self._connection.close()
