"""A debate in the stores."""

from codeforge.records import records_of
from codeforge.results import DebateControl, DebateResult, Turn, Verdict
from codeforge.worker_types import WorkerType
from tests.unit.records.samples import edges, finished, nodes

RESULT = DebateResult(
    transcript=[
        Turn(id="r1s1", round=1, speaker="Tabs", text="Tabs adapt.", rebuts=[]),
        Turn(id="r1s2", round=1, speaker="Spaces", text="Spaces align.", rebuts=["r1s1", "r1s1", "r1s2", "r9s9"]),
    ],
    verdict=Verdict(winner="Spaces", confidence=0.75, reasons=["They align.", "They stay."]),
    control=DebateControl(text="Either.", model="m", output_tokens=5, token_limit=100),
)
QUESTION = b'{"question":"Tabs or spaces?","rounds":1}'


def test_speeches_are_arguments_that_rebut_earlier_ones() -> None:
    task = finished(WorkerType.DEBATE, RESULT, input=QUESTION)

    records = records_of(task, [])

    tabs, spaces = nodes(records, "Argument")
    assert tabs.props == {"tenant": "acme", "turn": "r1s1", "round": 1, "speaker": "Tabs", "text": "Tabs adapt."}
    assert [(edge.start, edge.end[1]) for edge in edges(records, "ARGUED")] == [
        (("Task", task.id), tabs.id),
        (("Task", task.id), spaces.id),
    ]
    assert [(edge.start[1], edge.end[1]) for edge in edges(records, "REBUTS")] == [(spaces.id, tabs.id)]


def test_the_verdict_weighs_every_argument() -> None:
    task = finished(WorkerType.DEBATE, RESULT, input=QUESTION)

    records = records_of(task, [])

    (verdict,) = nodes(records, "Verdict")
    assert verdict.props == {
        "tenant": "acme",
        "winner": "Spaces",
        "confidence": 0.75,
        "reasons": ["They align.", "They stay."],
    }
    assert [edge.end for edge in edges(records, "DECIDED")] == [("Verdict", verdict.id)]
    assert [edge.end[1] for edge in edges(records, "WEIGHS")] == [node.id for node in nodes(records, "Argument")]


def test_verdict_and_speeches_are_searchable_under_the_question() -> None:
    records = records_of(finished(WorkerType.DEBATE, RESULT, input=QUESTION), [])

    assert [(text.kind, text.text) for text in records.texts] == [
        ("verdict", "Tabs or spaces?\nWinner: Spaces\nThey align.\nThey stay."),
        ("argument", "Tabs or spaces?\nTabs adapt."),
        ("argument", "Tabs or spaces?\nSpaces align."),
    ]


def test_the_same_speech_in_two_debates_is_two_arguments() -> None:
    one = records_of(finished(WorkerType.DEBATE, RESULT, input=QUESTION), [])
    two = records_of(finished(WorkerType.DEBATE, RESULT, input=QUESTION, id="another"), [])

    assert {node.id for node in nodes(one, "Argument")}.isdisjoint(node.id for node in nodes(two, "Argument"))
