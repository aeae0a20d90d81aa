"""Ports of the two result stores and of the embeddings. Drivers' exceptions do not leave `stores/`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

MAX_ANSWERING = 64

Scalar = str | int | float | bool | None | list[str]


@dataclass(frozen=True, slots=True)
class Node:
    """A graph node: `label` is one of `graph_model.LABELS`, `id` its unique key, `props` the other properties."""

    label: str
    id: str
    props: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edge:
    """A relationship between two nodes named by (label, id). One whose ends are not both there is left out."""

    type: str
    start: tuple[str, str]
    end: tuple[str, str]
    props: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GraphBatch:
    """Nodes and edges that are written together; nodes first. Writing it again changes nothing."""

    nodes: Sequence[Node]
    edges: Sequence[Edge]


class GraphStore(Protocol):
    """Where lineage lives. Every method raises GraphUnavailable when the server cannot be reached in time."""

    async def prepare(self) -> None:
        """Creates the uniqueness constraints, one per label; safe to repeat and to run in several processes."""
        ...

    async def write(self, batch: GraphBatch) -> None:
        """MERGEs the batch. A Task node that has a higher `fence` than the row keeps its properties. A Version that a
        Document HAS FOLLOWS the one that was seen last before it (`seen_at`). Raises RowRejected
        when the server refuses the rows for what they are."""
        ...

    async def neighbourhood(self, tenant: str, task_id: str, limit: int) -> GraphBatch | None:
        """The task's node with all that it called, fetched, produced, claimed, argued, its parents and children, and
        what those of them that are no tasks point to (chunks, links): at most `limit` nodes, at least the task, by
        distance, label and id; and the edges among them, at most `MAX_EDGES_PER_NODE` times as many as `limit`.
        None when the tenant has no such task."""
        ...

    async def trail(self, tenant: str, claim_id: str, limit: int) -> GraphBatch | None:
        """The claim's node, what it cites, the documents of those chunks, the task that made the claim, and the model
        calls of that task: at most `limit` nodes of each kind; and the edges among them. None when the tenant has no
        such claim."""
        ...

    async def tasks(self, after: str, limit: int) -> Sequence[Node]:
        """Stored tasks of all tenants in the order of their ids, those behind the id `after` ("" for the first), at
        most `limit`."""
        ...

    async def ping(self) -> None:
        """One round trip."""
        ...

    async def close(self) -> None:
        """Closes the driver."""
        ...


@dataclass(frozen=True, slots=True)
class Point:
    """One searchable text. `id` is a UUID text; `payload` holds task_id, type, kind, tenant, url, created_at
    (milliseconds) and text; a page's also document, version (its text's hash) and fetched_at (milliseconds); the first
    one of a result that answers others, `answers`: the key that they find it by."""

    id: str
    vector: Sequence[float]
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PageVersion:
    """A page as it was at `fetched_at` (milliseconds): the payload's `document`, `version` and `fetched_at`."""

    tenant: str
    document: str
    version: str
    fetched_at: int


@dataclass(frozen=True, slots=True)
class Hit:
    """One search hit, best first; `score` orders hits of one query and compares across none."""

    id: str
    score: float
    payload: Mapping[str, Any]


def newest_tasks(payloads: Sequence[Mapping[str, Any]], limit: int) -> list[str]:
    """The tasks that points with these payloads are of, each once, the newest first."""
    newest_first = sorted(payloads, key=lambda payload: (-payload["created_at"], payload["task_id"]))
    return list(dict.fromkeys(payload["task_id"] for payload in newest_first))[:limit]


class VectorStore(Protocol):
    """Where texts are searched. Every method raises VectorsUnavailable when the server cannot be reached in time. Reads
    find nothing before `prepare`."""

    async def prepare(self) -> None:
        """Creates the collection and its payload indexes; safe to repeat. Raises SettingsError when the collection
        there has another dimension."""
        ...

    async def fits(self) -> bool:
        """Whether the collection is there; changes nothing. Raises SettingsError as `prepare` does."""
        ...

    async def upsert(self, points: Sequence[Point]) -> None:
        """Writes and waits until they can be searched. Raises RowRejected for points that the server refuses."""
        ...

    async def forget_older(self, versions: Sequence[PageVersion]) -> None:
        """Removes the points of these documents that are of another version and were fetched before."""
        ...

    async def search(
        self,
        tenant: str,
        text: str,
        vector: Sequence[float],
        *,
        type: str | None = None,
        kind: str | None = None,
        limit: int = 10,
    ) -> list[Hit]:
        """Hybrid: nearest vectors and matching words, fused. Only the tenant's points."""
        ...

    async def answering(self, tenant: str, keys: Sequence[str], since: int, limit: int) -> list[str]:
        """Ids of the tenant's tasks that have a point whose `answers` is one of the keys and whose `created_at` is not
        before `since` (milliseconds): the newest first, at most `limit`, of the first MAX_ANSWERING that are found."""
        ...

    async def count(self, tenant: str | None = None) -> int:
        """Exact number of points, of one tenant or all."""
        ...

    async def ping(self) -> None:
        """One round trip."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...


class Embedder(Protocol):
    """Turns texts into unit vectors of `dim` numbers."""

    @property
    def dim(self) -> int:
        """Length of every vector."""
        ...

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """One vector a text, in order. Raises EmbeddingsUnavailable, and RowRejected for a text that is refused for
        what it is."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...
