"""The debate agent."""

import asyncio
import json

import pytest

from codeforge.agent import ModelRequest
from codeforge.errors import ModelError
from codeforge.inputs import DebateInput
from codeforge.results import DebateResult
from tests.patience import PATIENCE_S
from tests.unit.agent_context import FakeContext
from workers.debate import TURN_TOKENS, DebateAgent, unique

QUESTION = "Tabs or spaces?"


def speech(text: str, *rebuts: str) -> str:
    return json.dumps({"paragraphs": [text, " "], "rebuts": rebuts})


def positions(*texts: str) -> str:
    return json.dumps({f"position_{n}": text for n, text in enumerate(texts, 1)})


def verdict(winner: str = "s1", percent: int = 70, reasons: tuple[str, ...] = ("clearer",)) -> str:
    return json.dumps({"winner": winner, "confidence_percent": percent, "reasons": reasons})


def answers(**changed: str) -> dict[str, str]:
    given = {
        "r1s1": speech("Tabs are shorter."),
        "r1s2": speech("Spaces are even."),
        "r2s1": speech("Even is dull.", "r1s2"),
        "r2s2": speech("Short is odd.", "r1s1"),
        "verdict": verdict(),
        "control": "It depends.",
    }
    return {**given, **changed}


def run(ctx: FakeContext, task_input: DebateInput | None = None) -> DebateResult:
    given = task_input or DebateInput(question=QUESTION, positions=["tabs", "spaces"])
    return asyncio.run(DebateAgent().run(ctx, given))


def test_each_speaker_speaks_in_each_round() -> None:
    result = run(FakeContext(answers=answers()))

    assert [(turn.id, turn.round, turn.speaker, turn.text, turn.rebuts) for turn in result.transcript] == [
        ("r1s1", 1, "tabs", "Tabs are shorter.", []),
        ("r1s2", 1, "spaces", "Spaces are even.", []),
        ("r2s1", 2, "tabs", "Even is dull.", ["r1s2"]),
        ("r2s2", 2, "spaces", "Short is odd.", ["r1s1"]),
    ]
    assert result.warnings == []


def test_the_verdict_names_a_speaker() -> None:
    result = run(FakeContext(answers=answers(verdict=verdict("s2", 80, ("even", " ")))))
    assert (result.verdict.winner, result.verdict.confidence, result.verdict.reasons) == ("spaces", 0.8, ["even"])


@pytest.mark.parametrize(("said", "winner"), [("none", "none"), (" S2 ", "spaces"), ("spaces", "spaces")])
def test_other_spellings_of_the_winner_are_understood(said: str, winner: str) -> None:
    assert run(FakeContext(answers=answers(verdict=verdict(said)))).verdict.winner == winner


@pytest.mark.parametrize("bad", [verdict("s3"), verdict("", 50), verdict("s1", 101), verdict("s1", 50, ())])
def test_a_verdict_that_cannot_be_is_sent_back(bad: str) -> None:
    ctx = FakeContext(answers=answers(verdict=bad, **{"verdict.repair1": verdict("s1", 60)}))
    assert run(ctx).verdict.confidence == 0.6


def test_the_control_gets_as_many_tokens_as_the_debate() -> None:
    ctx = FakeContext(answers=answers())

    control = run(ctx).control

    assert ctx.requests["control"].max_tokens == control.token_limit == 4 * TURN_TOKENS
    assert sum(ctx.requests[name].max_tokens for name in ("r1s1", "r1s2", "r2s1", "r2s2")) == control.token_limit
    assert (control.text, control.model, control.output_tokens) == ("It depends.", "fake", 2)
    assert "tabs" not in ctx.requests["control"].messages[-1].content.replace(QUESTION, "")


def test_the_longest_debate_stays_within_what_models_can_answer() -> None:
    assert 6 * 6 * TURN_TOKENS <= 16_384


def test_rebuttals_of_unknown_or_own_speeches_are_left_out() -> None:
    changed = answers(r2s1=speech("x", "r1s1", "r9s9", "r2s2", "r1s2", "r1s2"))
    assert run(FakeContext(answers=changed)).transcript[2].rebuts == ["r1s2"]


def test_speakers_see_what_was_said_in_earlier_rounds_only() -> None:
    ctx = FakeContext(answers=answers())

    run(ctx)

    assert "even" not in ctx.requests["r1s1"].messages[-1].content
    second = ctx.requests["r2s2"]
    assert "Speech r1s1, by: tabs\nTabs are shorter." in second.messages[-1].content
    assert "Even is dull" not in second.messages[-1].content
    assert "spaces" in second.messages[0].content
    assert second.json_schema is not None
    assert second.json_schema["properties"]["rebuts"]["items"]["enum"] == ["r1s1"]


def test_models_take_turns() -> None:
    ctx = FakeContext(answers={**answers(), "r1s3": speech("both"), "r2s3": speech("both")})

    result = run(ctx, DebateInput(question=QUESTION, positions=["tabs", "spaces", "both"], models=["m1", "m2"]))

    used = {name: request.model for name, request in ctx.requests.items()}
    assert (used["r1s1"], used["r1s2"], used["r1s3"], used["r2s2"]) == ("m1", "m2", "m1", "m2")
    assert (used["verdict"], used["control"], result.control.model) == ("m1", "m1", "m1")


def test_without_positions_the_model_names_as_many_as_asked() -> None:
    proposed = positions("tabs", " spaces\n only ", "both")
    more = {"r1s3": speech("both")}
    ctx = FakeContext(answers={**answers(positions=proposed), **more})

    result = run(ctx, DebateInput(question=QUESTION, sides=3, rounds=1))

    assert [turn.speaker for turn in result.transcript] == ["tabs", "spaces only", "both"]
    schema = ctx.requests["positions"].json_schema
    assert schema is not None
    assert schema["required"] == ["position_1", "position_2", "position_3"]


def test_two_sides_are_the_default() -> None:
    ctx = FakeContext(answers=answers(positions=positions("a", "b")))
    assert len(run(ctx, DebateInput(question=QUESTION)).transcript) == 4


def test_empty_positions_are_sent_back() -> None:
    repaired = {"positions.repair1": positions("a", "b")}
    ctx = FakeContext(answers={**answers(positions=positions("a", " ")), **repaired})
    assert {turn.speaker for turn in run(ctx, DebateInput(question=QUESTION)).transcript} == {"a", "b"}


def test_repeated_positions_are_told_apart_and_said() -> None:
    ctx = FakeContext(answers=answers(positions=positions("a", "a")))

    result = run(ctx, DebateInput(question=QUESTION))

    assert {turn.speaker for turn in result.transcript} == {"a", "a (2)"}
    assert [notice.code for notice in result.warnings] == ["positions_repeated"]


def test_names_are_unique_and_never_none() -> None:
    assert unique(["a", "a", "a (2)", "None", " "]) == ["a", "a (2)", "a (2) (2)", "None (2)", "(no words)"]


def test_one_round_has_no_rebuttals() -> None:
    result = run(FakeContext(answers=answers()), DebateInput(question=QUESTION, positions=["x", "y"], rounds=1))
    assert [turn.rebuts for turn in result.transcript] == [[], []]
    assert result.control.token_limit == 2 * TURN_TOKENS


def test_a_speaker_without_words_fails_the_task() -> None:
    empty = dict.fromkeys(("r1s1", "r1s1.repair1", "r1s1.repair2"), speech(" "))
    with pytest.raises(ModelError, match="at least one must have text"):
        run(FakeContext(answers=answers(**empty)))


def test_long_speeches_are_cut_for_the_others() -> None:
    ctx = FakeContext(answers=answers(r1s1=speech("long " * 2_000)))
    result = run(ctx)
    assert len(result.transcript[0].text) > 9_000
    assert len(ctx.requests["r2s2"].messages[-1].content) < 4_000


def test_each_stage_is_told() -> None:
    ctx = FakeContext(answers=answers())

    run(ctx)

    assert [kind for kind, _ in ctx.events] == ["turn"] * 4 + ["verdict"]
    assert [(done, total) for done, total, _ in ctx.reports] == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def test_speakers_of_a_round_answer_side_by_side() -> None:
    waiting = asyncio.Event()
    both: list[str] = []

    class Meeting(FakeContext):
        async def model(self, name: str, request: ModelRequest):  # type: ignore[no-untyped-def]
            if name.startswith("r1"):
                both.append(name)
                if len(both) == 2:
                    waiting.set()
                await asyncio.wait_for(waiting.wait(), PATIENCE_S)
            return await super().model(name, request)

    assert len(run(Meeting(answers=answers())).transcript) == 4
