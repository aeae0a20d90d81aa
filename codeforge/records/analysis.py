"""An analysis: its report as an Artifact, its claims, and the sources that they cite as Documents."""

from collections.abc import Mapping
from dataclasses import replace

from pydantic import ValidationError

from codeforge.equivalence import answers_others, key_of
from codeforge.identity import claim_id
from codeforge.inputs import AnalysisInput
from codeforge.records.chunks import chunk_markdown
from codeforge.records.documents import document_id, excerpt_node, has_chunk
from codeforge.records.identity import stable_id
from codeforge.records.model import MAX_CONTENT_BYTES, Fragment, SearchText, TextKind, clip_bytes, titled
from codeforge.records.question import question_of
from codeforge.results import AnalysisResult, Claim, Source, Span
from codeforge.stores.graph_model import EdgeType, Label
from codeforge.stores.ports import Edge, Node, Scalar
from codeforge.task import Task

MAX_EXCERPT_BYTES = 8_000

End = tuple[str, str]


def analysis_fragment(task: Task, result: bytes) -> Fragment:
    """Raises pydantic.ValidationError when the result is no AnalysisResult.

    The task READ its sources. A claim CITES the Chunk of each passage that bears it out, with the places and quotes in
    it; one without such places (an older result) the source's excerpt, or the Document where there is none.
    Texts: kind `report` for each part of the report, kind `claim` for each claim; the first one has the key that other
    tasks find the result by, if it is worth that. An earlier task's result adds nothing but that this task REUSED it.
    """
    analysis = AnalysisResult.model_validate_json(result)
    question = question_of(task)
    fragment = Fragment()
    if analysis.reused is not None:
        earlier = (Label.TASK, analysis.reused.task_id)
        fragment.nodes.append(Node(*earlier))
        fragment.edges.append(Edge(EdgeType.REUSED, (Label.TASK, task.id), earlier))
        return fragment
    _add_report(fragment, task, question, analysis.report, _key_of(task) if answers_others(analysis) else None)
    cited = {source.n: _Cited(fragment, task, source) for source in analysis.sources}
    for index, claim in enumerate(analysis.claims):
        _add_claim(fragment, task, claim.id or claim_id(task.id, index), claim, cited)
    return fragment


def _key_of(task: Task) -> str | None:
    """What others find its result by; None for the input of another version, of which this one knows too little."""
    try:
        return key_of(AnalysisInput.model_validate_json(task.input))
    except ValidationError:
        return None


def _add_report(fragment: Fragment, task: Task, question: str, report: str, answers: str | None) -> None:
    props: dict[str, Scalar] = {
        "tenant": task.tenant,
        "kind": "report",
        "title": question,
        "content": clip_bytes(report, MAX_CONTENT_BYTES),
    }
    node = Node(Label.ARTIFACT, stable_id(task.id, "report"), props)
    fragment.nodes.append(node)
    fragment.edges.append(Edge(EdgeType.PRODUCED, (Label.TASK, task.id), (Label.ARTIFACT, node.id)))
    texts = report_texts(task.id, question, report)
    fragment.texts.extend([*(replace(text, answers=answers) for text in texts[:1]), *texts[1:]])


def report_texts(task_id: str, question: str, report: str) -> list[SearchText]:
    """What finds a report: each part of it under the question."""
    return [
        SearchText(stable_id(task_id, "report", str(chunk.ordinal)), TextKind.REPORT, titled([question], chunk.text))
        for chunk in chunk_markdown(report)
    ]


def claim_texts(claim_id: str, text: str) -> list[SearchText]:
    """What finds a claim: its text, if it has one."""
    return [SearchText(claim_id, TextKind.CLAIM, titled([], text))] if text.strip() else []


class _Cited:
    """A source in the graph: its Document, and a Chunk for each of its passages."""

    def __init__(self, fragment: Fragment, task: Task, source: Source) -> None:
        self._fragment = fragment
        self._document = document_id(task.tenant, source.url)
        # Only what is known here: the Document of a scraped page keeps the properties that the scrape wrote.
        props: dict[str, Scalar] = {"tenant": task.tenant, "url": source.url}
        if source.title:
            props["title"] = source.title
        fragment.nodes.append(Node(Label.DOCUMENT, self._document, props))
        fragment.edges.append(Edge(EdgeType.READ, (Label.TASK, task.id), (Label.DOCUMENT, self._document)))
        self._passages = [
            (range(passage.start, passage.start + len(passage.text)), self._chunk(task.tenant, passage.text))
            for passage in source.passages
        ]
        excerpt = source.excerpt.strip()
        self.whole: End = (Label.DOCUMENT, self._document)
        if excerpt and not self._passages:
            self.whole = (Label.CHUNK, self._chunk(task.tenant, excerpt))

    def chunk_of(self, span: Span) -> End | None:
        """The Chunk that the place lies in."""
        for places, chunk in self._passages:
            if span.start in places and span.end <= places.stop:
                return Label.CHUNK, chunk
        return None

    def _chunk(self, tenant: str, text: str) -> str:
        chunk = excerpt_node(tenant, self._document, clip_bytes(text, MAX_EXCERPT_BYTES))
        self._fragment.nodes.append(chunk)
        self._fragment.edges.append(has_chunk(self._document, chunk))
        return chunk.id


def _add_claim(fragment: Fragment, task: Task, id_: str, claim: Claim, cited: Mapping[int, _Cited]) -> None:
    props: dict[str, Scalar] = {
        "tenant": task.tenant,
        "text": clip_bytes(claim.text, MAX_CONTENT_BYTES),
        "supported": claim.supported,
        "reason": claim.reason or None,
    }
    fragment.nodes.append(Node(Label.CLAIM, id_, props))
    fragment.edges.append(Edge(EdgeType.CLAIMED, (Label.TASK, task.id), (Label.CLAIM, id_)))
    for end, spans in _ends_of(claim, cited).items():
        places: dict[str, Scalar] = {
            "spans": [f"{span.start}-{span.end}" for span in spans],
            "quotes": [clip_bytes(span.quote, MAX_EXCERPT_BYTES) for span in spans],
        }
        fragment.edges.append(Edge(EdgeType.CITES, (Label.CLAIM, id_), end, places if spans else {}))
    fragment.texts.extend(claim_texts(id_, claim.text))


def _ends_of(claim: Claim, cited: Mapping[int, _Cited]) -> dict[End, list[Span]]:
    """What the claim cites, each end once, with the places in it."""
    ends: dict[End, list[Span]] = {}
    for span in claim.spans:
        if span.source in cited and (chunk := cited[span.source].chunk_of(span)):
            ends.setdefault(chunk, []).append(span)
    return ends or {cited[n].whole: [] for n in claim.sources if n in cited}
