"""An analysis: its report as an Artifact, its claims, and the sources that they cite as Documents."""

from codeforge.records.chunks import chunk_markdown
from codeforge.records.documents import document_id, excerpt_node, has_chunk
from codeforge.records.identity import stable_id
from codeforge.records.model import MAX_CONTENT_BYTES, Fragment, SearchText, clip_bytes, titled
from codeforge.records.question import question_of
from codeforge.results import AnalysisResult, Claim, Source
from codeforge.stores.graph_model import EdgeType, Label
from codeforge.stores.ports import Edge, Node, Scalar
from codeforge.task import Task

MAX_EXCERPT_BYTES = 8_000

End = tuple[str, str]


def analysis_fragment(task: Task, result: bytes) -> Fragment:
    """Raises pydantic.ValidationError when the result is no AnalysisResult.

    Claims CITE a source's Chunk, or its Document where the source has no excerpt. Texts: kind `report` for each part
    of the report, kind `claim` for each claim.
    """
    analysis = AnalysisResult.model_validate_json(result)
    question = question_of(task)
    fragment = Fragment()
    _add_report(fragment, task, question, analysis.report)
    cited = {source.n: _add_source(fragment, task, source) for source in analysis.sources}
    for index, claim in enumerate(analysis.claims):
        _add_claim(fragment, task, index, claim, cited)
    return fragment


def _add_report(fragment: Fragment, task: Task, question: str, report: str) -> None:
    props: dict[str, Scalar] = {
        "tenant": task.tenant,
        "kind": "report",
        "title": question,
        "content": clip_bytes(report, MAX_CONTENT_BYTES),
    }
    node = Node(Label.ARTIFACT, stable_id(task.id, "report"), props)
    fragment.nodes.append(node)
    fragment.edges.append(Edge(EdgeType.PRODUCED, (Label.TASK, task.id), (Label.ARTIFACT, node.id)))
    fragment.texts.extend(report_texts(task.id, question, report))


def report_texts(task_id: str, question: str, report: str) -> list[SearchText]:
    """What finds a report: each part of it under the question."""
    return [
        SearchText(stable_id(task_id, "report", str(chunk.ordinal)), "report", titled([question], chunk.text))
        for chunk in chunk_markdown(report)
    ]


def claim_texts(claim_id: str, text: str) -> list[SearchText]:
    """What finds a claim: its text, if it has one."""
    return [SearchText(claim_id, "claim", titled([], text))] if text.strip() else []


def _add_source(fragment: Fragment, task: Task, source: Source) -> End:
    """Adds the source and returns what a claim cites by it."""
    document = document_id(task.tenant, source.url)
    # Only what is known here: the Document of a scraped page keeps the properties that the scrape wrote.
    props: dict[str, Scalar] = {"tenant": task.tenant, "url": source.url}
    if source.title:
        props["title"] = source.title
    fragment.nodes.append(Node(Label.DOCUMENT, document, props))
    excerpt = source.excerpt.strip()
    if not excerpt:
        return Label.DOCUMENT, document
    chunk = excerpt_node(task.tenant, document, clip_bytes(excerpt, MAX_EXCERPT_BYTES))
    fragment.nodes.append(chunk)
    fragment.edges.append(has_chunk(document, chunk))
    return Label.CHUNK, chunk.id


def _add_claim(fragment: Fragment, task: Task, index: int, claim: Claim, cited: dict[int, End]) -> None:
    props: dict[str, Scalar] = {
        "tenant": task.tenant,
        "text": clip_bytes(claim.text, MAX_CONTENT_BYTES),
        "supported": claim.supported,
    }
    node = Node(Label.CLAIM, stable_id(task.id, "claim", str(index)), props)
    fragment.nodes.append(node)
    fragment.edges.append(Edge(EdgeType.CLAIMED, (Label.TASK, task.id), (Label.CLAIM, node.id)))
    ends = dict.fromkeys(cited[n] for n in claim.sources if n in cited)
    fragment.edges.extend(Edge(EdgeType.CITES, (Label.CLAIM, node.id), end) for end in ends)
    fragment.texts.extend(claim_texts(node.id, claim.text))
