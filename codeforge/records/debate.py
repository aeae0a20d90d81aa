"""A debate: its speeches as Arguments that rebut each other, and the Verdict that weighs them."""

from codeforge.records.chunks import chunk_markdown
from codeforge.records.identity import stable_id
from codeforge.records.model import MAX_CONTENT_BYTES, Fragment, SearchText, TextKind, clip_bytes, titled
from codeforge.records.question import question_of
from codeforge.results import DebateResult, Turn, Verdict
from codeforge.stores.graph_model import EdgeType, Label
from codeforge.stores.ports import Edge, Node, Scalar
from codeforge.task import Task


def debate_fragment(task: Task, result: bytes) -> Fragment:
    """Raises pydantic.ValidationError when the result is no DebateResult.

    Texts: kind `verdict`, then kind `argument` for each part of each speech, all under the question.
    """
    debate = DebateResult.model_validate_json(result)
    question = question_of(task)
    turns = {turn.id: turn for turn in debate.transcript}
    fragment = Fragment()
    _add_verdict(fragment, task, question, debate.verdict, list(turns))
    for turn in turns.values():
        _add_argument(fragment, task, question, turn)
        rebutted = (other for other in dict.fromkeys(turn.rebuts) if other in turns and other != turn.id)
        start = _argument(task, turn.id)
        fragment.edges.extend(Edge(EdgeType.REBUTS, start, _argument(task, other)) for other in rebutted)
    return fragment


def _argument(task: Task, turn_id: str) -> tuple[str, str]:
    return Label.ARGUMENT, stable_id(task.id, "turn", turn_id)


def _add_argument(fragment: Fragment, task: Task, question: str, turn: Turn) -> None:
    label, node_id = _argument(task, turn.id)
    props: dict[str, Scalar] = {
        "tenant": task.tenant,
        "turn": turn.id,
        "round": turn.round,
        "speaker": turn.speaker,
        "text": clip_bytes(turn.text, MAX_CONTENT_BYTES),
    }
    fragment.nodes.append(Node(label, node_id, props))
    fragment.edges.append(Edge(EdgeType.ARGUED, (Label.TASK, task.id), (label, node_id)))
    fragment.texts.extend(argument_texts(task.id, question, turn.id, turn.text))


def argument_texts(task_id: str, question: str, turn_id: str, text: str) -> list[SearchText]:
    """What finds a speech: each part of it under the question."""
    return [
        SearchText(
            stable_id(task_id, "turn", turn_id, str(chunk.ordinal)), TextKind.ARGUMENT, titled([question], chunk.text)
        )
        for chunk in chunk_markdown(text)
    ]


def verdict_text(verdict_id: str, question: str, winner: str, reasons: list[str]) -> SearchText:
    """What finds a verdict: winner and reasons under the question."""
    return SearchText(verdict_id, TextKind.VERDICT, titled([question], "\n".join([f"Winner: {winner}", *reasons])))


def _add_verdict(fragment: Fragment, task: Task, question: str, verdict: Verdict, turn_ids: list[str]) -> None:
    node_id = stable_id(task.id, "verdict")
    props: dict[str, Scalar] = {
        "tenant": task.tenant,
        "winner": verdict.winner,
        "confidence": verdict.confidence,
        "reasons": [clip_bytes(reason, MAX_CONTENT_BYTES) for reason in verdict.reasons],
    }
    fragment.nodes.append(Node(Label.VERDICT, node_id, props))
    fragment.edges.append(Edge(EdgeType.DECIDED, (Label.TASK, task.id), (Label.VERDICT, node_id)))
    fragment.edges.extend(
        Edge(EdgeType.WEIGHS, (Label.VERDICT, node_id), _argument(task, turn_id)) for turn_id in turn_ids
    )
    fragment.texts.append(verdict_text(node_id, question, verdict.winner, verdict.reasons))
