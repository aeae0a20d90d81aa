"""The provenance use case: why a claim stands in a report. Claim -> Chunk -> Document -> Task -> ModelCall."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from codeforge.errors import ClaimNotFound
from codeforge.stores.graph_model import EdgeType, Label
from codeforge.stores.ports import Edge, GraphBatch, GraphStore, Node

MAX_NODES_PER_KIND = 200

End = tuple[str, str]
V = TypeVar("V", bound="_View")


class _View(BaseModel):
    """A node as it is shown: `id`, and those of its properties that the fields name."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str

    @classmethod
    def of(cls: type[V], node: Node) -> V:
        return cls.model_validate({**node.props, "id": node.id})


class ClaimView(_View):
    """What was claimed; `reason` says why it counts as unsupported."""

    text: str = ""
    supported: bool = False
    reason: str | None = None


class ChunkView(_View):
    """The passage of a page that a claim cites."""

    text: str = ""


class DocumentView(_View):
    """The page."""

    url: str = ""
    title: str | None = None


class Place(BaseModel):
    """Characters from `start` to `end` of the page's Markdown, which are `quote`."""

    model_config = ConfigDict(frozen=True)

    start: int
    end: int
    quote: str


class Citation(BaseModel):
    """Where the claim stands. `chunk` is null where only the page is known."""

    model_config = ConfigDict(frozen=True)

    places: list[Place]
    chunk: ChunkView | None
    document: DocumentView | None


class ModelCallView(_View):
    """A model call of the task. `ms` is its duration in milliseconds."""

    step: str = ""
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    ms: int = 0


class TaskView(_View):
    """The task that made the claim, and its model calls by step."""

    type: str = ""
    state: str = ""
    input: str = ""
    model_calls: list[ModelCallView] = []


class Why(BaseModel):
    """The answer of `GET /claims/{id}/why`."""

    model_config = ConfigDict(frozen=True)

    claim: ClaimView
    citations: list[Citation]
    task: TaskView | None


class Provenance:
    """Reads where claims come from."""

    def __init__(self, graph: GraphStore) -> None:
        self._graph = graph

    async def why(self, tenant: str, claim_id: str) -> Why:
        """Raises ClaimNotFound when the tenant has no such claim in the graph, where it comes only once its task is
        stored, and GraphUnavailable."""
        found = await self._graph.trail(tenant, claim_id, MAX_NODES_PER_KIND)
        if found is None:
            raise ClaimNotFound("no such claim")
        nodes = {(node.label, node.id): node for node in found.nodes}
        claim = nodes[Label.CLAIM, claim_id]
        task = next((node for node in found.nodes if node.label == Label.TASK), None)
        calls = [ModelCallView.of(node) for node in found.nodes if node.label == Label.MODEL_CALL]
        calls.sort(key=lambda call: call.step)
        return Why(
            claim=ClaimView.of(claim),
            citations=list(_citations(found, nodes)),
            task=None if task is None else TaskView.of(task).model_copy(update={"model_calls": calls}),
        )


def _citations(found: GraphBatch, nodes: dict[End, Node]) -> Iterator[Citation]:
    pages = {edge.end: edge.start for edge in found.edges if edge.type == EdgeType.HAS_CHUNK}
    for edge in found.edges:
        if edge.type == EdgeType.CITES and edge.end in nodes:
            page = edge.end if edge.end[0] == Label.DOCUMENT else pages.get(edge.end)
            yield Citation(
                places=list(_places(edge)),
                chunk=ChunkView.of(nodes[edge.end]) if edge.end[0] == Label.CHUNK else None,
                document=None if page is None else DocumentView.of(nodes[page]),
            )


def _places(edge: Edge) -> Iterator[Place]:
    for span, quote in zip(_texts(edge, "spans"), _texts(edge, "quotes"), strict=True):
        start, _, end = span.partition("-")
        yield Place(start=int(start), end=int(end), quote=quote)


def _texts(edge: Edge, name: str) -> Sequence[str]:
    value = edge.props.get(name)
    return value if isinstance(value, list) else ()
