"""The way back: a task's searchable texts from what the graph holds of it, for an empty vector store.

They are those that the projector wrote, under the same ids, apart from what the graph never held: the diff of a coding
task, and of any text what lies beyond MAX_CONTENT_BYTES. A page that was fetched again since is found by its new text.
"""

from collections.abc import Iterator
from itertools import chain

from codeforge.records.analysis import claim_texts, report_texts
from codeforge.records.coding import artifact_text
from codeforge.records.debate import argument_texts, verdict_text
from codeforge.records.model import MAX_TEXTS, SearchText, SeenPage
from codeforge.records.scrape import PageTexts
from codeforge.stores.graph_model import EdgeType
from codeforge.stores.ports import GraphBatch, Node


def texts_of(task_id: str, question: str, neighbourhood: GraphBatch) -> list[SearchText]:
    """At most MAX_TEXTS; `question` is what the task asked, for a title where the graph has none."""
    return _Neighbourhood(task_id, question, neighbourhood).texts()[:MAX_TEXTS]


class _Neighbourhood:
    """One task's nodes, by the edges that lead to them."""

    def __init__(self, task_id: str, question: str, batch: GraphBatch) -> None:
        self._task_id = task_id
        self._question = question
        self._nodes = {(node.label, node.id): node for node in batch.nodes}
        self._ends: dict[tuple[str, str], list[Node]] = {}
        for edge in batch.edges:
            if edge.end in self._nodes:
                self._ends.setdefault((edge.type, edge.start[1]), []).append(self._nodes[edge.end])

    def texts(self) -> list[SearchText]:
        parts = chain(self._decided(), self._argued(), self._produced(), self._claimed(), self._fetched())
        return list({text.id: text for text in parts}.values())

    def _all(self, edge: EdgeType, start: str) -> list[Node]:
        return self._ends.get((edge.value, start), [])

    def _of_task(self, edge: EdgeType) -> list[Node]:
        return self._all(edge, self._task_id)

    def _decided(self) -> Iterator[SearchText]:
        for node in self._of_task(EdgeType.DECIDED):
            reasons = node.props.get("reasons")
            kept = reasons if isinstance(reasons, list) else []
            yield verdict_text(node.id, self._question, _text(node, "winner"), kept)

    def _argued(self) -> Iterator[SearchText]:
        for node in self._of_task(EdgeType.ARGUED):
            yield from argument_texts(self._task_id, self._question, _text(node, "turn"), _text(node, "text"))

    def _produced(self) -> Iterator[SearchText]:
        for node in self._of_task(EdgeType.PRODUCED):
            if node.props.get("kind") == "report":
                yield from report_texts(self._task_id, _text(node, "title"), _text(node, "content"))
            else:
                yield artifact_text(node.id, _text(node, "path"), _text(node, "content"))

    def _claimed(self) -> Iterator[SearchText]:
        for node in self._of_task(EdgeType.CLAIMED):
            yield from claim_texts(node.id, _text(node, "text"))

    def _fetched(self) -> Iterator[SearchText]:
        """Every page, then every page's first chunk, then every second one, as the projector keeps them."""
        passages: list[tuple[int, SearchText]] = []
        for page in self._of_task(EdgeType.FETCHED):
            url, title = _text(page, "url"), _text(page, "title")
            chunks = self._chunks_of(page)
            fetched_at = page.props.get("fetched_at")
            seen = SeenPage(page.id, _text(page, "content_hash"), fetched_at if isinstance(fetched_at, int) else 0)
            texts = PageTexts(self._task_id, seen, url, title)
            beginning = "\n\n".join(_text(chunk, "text") for _, chunk in chunks[:2])
            yield texts.whole(beginning, beginning if len(chunks) == 1 else None)
            for ordinal, chunk in chunks if len(chunks) > 1 else ():
                passages.append((ordinal, texts.passage(chunk.id, _text(chunk, "heading"), _text(chunk, "text"))))
        passages.sort(key=lambda item: item[0])
        yield from (text for _, text in passages)

    def _chunks_of(self, page: Node) -> list[tuple[int, Node]]:
        """The page's chunks in order; those of an earlier version, and excerpts, which have no place, left out."""
        found = []
        for chunk in self._all(EdgeType.HAS_CHUNK, page.id):
            ordinal = chunk.props.get("ordinal")
            if isinstance(ordinal, int) and chunk.props.get("page_hash") == page.props.get("content_hash"):
                found.append((ordinal, chunk))
        return sorted(found, key=lambda item: item[0])


def _text(node: Node, name: str) -> str:
    value = node.props.get(name)
    return value if isinstance(value, str) else ""
