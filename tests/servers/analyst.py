"""A model that writes reports, for analyses of pages whose facts are known: it answers with what the pages say, and
with falsehoods about it."""

import json
import re
import threading
from collections.abc import Sequence
from typing import Any

from tests.servers.articles import article
from tests.servers.model import Scripted

JsonObject = dict[str, Any]

FILLER = (
    "This page belongs to a handbook about the valley that its inhabitants have kept up for many years. It is written "
    "for visitors who want to know more than the signposts along the road say, and it is read by a neighbour before it "
    "is printed."
)
CLOSING = (
    "Whoever finds a mistake may write to the keeper of the handbook, who reads every letter in the evening and "
    "answers within a week. Older editions are kept in the parish library, where they can be read on weekdays."
)
DEPTH = "Lake Orrin is 120 metres deep at its northern end."
CHAR = "The silver char of Lake Orrin grows to 40 centimetres."
VILLAGE = "The village of Tarn was founded in 1732 by salt traders."
DAM = "The Tarn dam holds back 12 million cubic metres of water."
RAIN = "Rain falls on 210 days a year in the Orrin valley."
RUMOUR = "Lake Orrin is 300 metres deep at its northern end."

PAGES = {
    f"/orrin/{name}": article(title, [FILLER, sentence, CLOSING])
    for name, title, sentence in (
        ("depth", "How deep the lake is", DEPTH),
        ("fish", "Fish", CHAR),
        ("history", "History", VILLAGE),
        ("dam", "The dam", DAM),
        ("climate", "Climate", RAIN),
        ("rumours", "What people say", RUMOUR),
    )
}
"""Each says one thing; the last one contradicts the first."""

TRUTHS = (DEPTH, CHAR, VILLAGE, DAM, RAIN)
FALSEHOODS = {
    "The silver char of Lake Orrin grows to 90 centimetres.": CHAR,  # another number
    "Rain does not fall on 210 days a year in the Orrin valley.": RAIN,  # a denial
    "The village of Elm was founded in 1732 by salt traders.": VILLAGE,  # another name
    "The village of Tarn has a cathedral.": "The village of Tarn has a cathedral.",  # a quote that nobody wrote
    "The lake is warm enough for a swim in winter.": DAM,  # a quote about something else
}
"""What the model says besides, with the quote that it gives for it."""

_SOURCE = re.compile(r"Source \[(\d+)\] [^\n]*\n(.*?)(?=\n\nSource \[|\n\nQuestion again:|\Z)", re.DOTALL)


class Analyst:
    """Give it to a ModelServer as its `writer`. The first call for a report is not answered while `held` is set;
    `asked` is set by it."""

    def __init__(self) -> None:
        self.held = threading.Event()
        self.asked = threading.Event()

    def __call__(self, body: JsonObject) -> Scripted | None:
        """The answer to a request, by the schema that it wants; None for any other request."""
        properties = _properties(body)
        if "questions" in properties:
            return Scripted(text=json.dumps({"questions": ["depth of Lake Orrin", "village of Tarn"]}))
        if "wrong" in properties:
            return Scripted(text=json.dumps({"wrong": []}))
        if "statements" not in properties:
            return None
        self.asked.set()
        if self.held.is_set():
            return Scripted(hang_s=60.0)
        return Scripted(text=json.dumps({"statements": _statements(body["messages"]), "conflicts": []}))


def _properties(body: JsonObject) -> JsonObject:
    wanted = body.get("response_format", {})
    schema = wanted.get("json_schema", {}).get("schema") or wanted.get("schema") or {}
    properties: JsonObject = schema.get("properties", {})
    return properties


def _statements(messages: Sequence[JsonObject]) -> list[JsonObject]:
    texts = {int(number): text for number, text in _SOURCE.findall(str(messages[-1]["content"]))}
    said = {sentence: number for number, text in texts.items() for sentence in TRUTHS if sentence in text}
    pairs = [(sentence, sentence, number) for sentence, number in said.items()]
    pairs += [(text, quote, said.get(quote, 1)) for text, quote in FALSEHOODS.items()]
    return [
        {"text": text, "begins_paragraph": True, "support": [{"source": number, "quote": quote}]}
        for text, quote, number in pairs
    ]
