"""The debate agent: speakers argue positions in rounds, a judge decides, and one model answers alone for comparison.

Debate often fails to beat one model that is given the same tokens (arXiv 2502.08788), so that answer always comes
with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from pydantic import BaseModel, Field, create_model

from codeforge.agent import AgentContext, Message, ModelRequest
from codeforge.inputs import DebateInput
from codeforge.llm.structured import Line, Paragraph, ask
from codeforge.results import DebateControl, DebateResult, Notice, Turn, Verdict
from codeforge.worker_types import WorkerType
from workers.parallel import in_parallel

DEFAULT_SIDES = 2
SPEAKERS_AT_ONCE = 6
POSITION_TOKENS = 400
TURN_TOKENS = 450  # 6 speakers in 6 rounds stay below the 16,384 tokens that common models can answer at once
VERDICT_TOKENS = 500
SHOWN_TURN_CHARS = 1_500
NONE = "none"

JUDGE = (
    "You judge a debate by its arguments alone: which speaker argued best, how sure you are in percent, and why. "
    "Choose none where no speaker did better than the others."
)
ALONE = "Answer the question well and fairly: weigh the positions that one can take, then conclude."


class Opening(BaseModel):
    """A speech of the first round."""

    paragraphs: list[Paragraph] = Field(min_length=1, json_schema_extra={"maxItems": 3})


class Reply(BaseModel):
    """A speech of a later round; `rebuts` are ids of earlier speeches."""

    paragraphs: list[Paragraph] = Field(min_length=1, json_schema_extra={"maxItems": 3})
    rebuts: list[str] = Field(json_schema_extra={"maxItems": 3})


class Judgement(BaseModel):
    """The judge's answer. Confidence is asked for in steps of ten percent: a grammar can hold a model to an enum, not
    to a range."""

    winner: str
    confidence_percent: Annotated[int, Field(ge=0, le=100, json_schema_extra={"enum": list(range(0, 101, 10))})]
    reasons: list[Line] = Field(min_length=1, json_schema_extra={"maxItems": 4})


@dataclass(frozen=True, slots=True)
class Speaker:
    """One side. `key` is `s<number>`, the second half of its turns' ids; `name` is its position."""

    key: str
    name: str
    model: str | None


class DebateAgent:
    """A debate over `rounds`; speakers of one round answer side by side, to what was said in earlier rounds."""

    type = WorkerType.DEBATE

    async def run(self, ctx: AgentContext, task_input: DebateInput) -> DebateResult:
        """Holds the debate. Raises ModelError when any of its parts cannot be had."""
        names, warnings = await self._positions(ctx, task_input)
        models: Sequence[str | None] = task_input.models or [None]
        speakers = [Speaker(f"s{n + 1}", name, models[n % len(models)]) for n, name in enumerate(names)]
        total = task_input.rounds + 2
        transcript: list[Turn] = []
        for number in range(1, task_input.rounds + 1):
            await ctx.progress(number - 1, total, f"round {number} of {task_input.rounds}")
            transcript += await self._round(ctx, task_input.question, speakers, number, transcript)
        await ctx.progress(task_input.rounds, total, "judging")
        verdict = await self._verdict(ctx, task_input.question, speakers, transcript, models[0])
        await ctx.progress(task_input.rounds + 1, total, "answering alone")
        control = await self._control(ctx, task_input.question, len(transcript) * TURN_TOKENS, models[0])
        await ctx.progress(total, total, "done")
        return DebateResult(transcript=transcript, verdict=verdict, control=control, warnings=warnings)

    async def _positions(self, ctx: AgentContext, task_input: DebateInput) -> tuple[list[str], list[Notice]]:
        """The speakers' names: the given positions or as many as asked for, made unique."""
        if task_input.positions is not None:
            return unique(task_input.positions), []
        sides = task_input.sides or DEFAULT_SIDES

        # One field for each, and not a list: that gives their number where a service enforces no list's length.
        answers = create_model("Positions", **{f"position_{n + 1}": (Line, ...) for n in range(sides)})  # type: ignore[call-overload]  # fields by name

        def none_empty(answer: BaseModel) -> None:
            if not all(position.strip() for position in answer.model_dump().values()):
                raise ValueError("every position must have words")

        question = f"Question: {task_input.question}\n\nName {sides} opposed positions on it, one sentence each."
        answer, _ = await ask(
            ctx, "positions", [Message(role="user", content=question)], answers,
            model=task_input.models[0] if task_input.models else None, max_tokens=POSITION_TOKENS, check=none_empty,
        )  # fmt: skip
        proposed = [" ".join(position.split()) for position in answer.model_dump().values()]
        await ctx.emit("positions", {"positions": proposed})
        if len(set(proposed)) == sides:
            return proposed, []
        warning = Notice(code="positions_repeated", message="The model proposed the same position more than once.")
        return unique(proposed), [warning]

    async def _round(
        self, ctx: AgentContext, question: str, speakers: Sequence[Speaker], number: int, said: Sequence[Turn]
    ) -> list[Turn]:
        async def speak(speaker: Speaker) -> Turn:
            turn = await self._turn(ctx, question, speaker, number, said)
            await ctx.emit("turn", {"id": turn.id, "round": turn.round, "speaker": turn.speaker})
            return turn

        return await in_parallel([partial(speak, speaker) for speaker in speakers], SPEAKERS_AT_ONCE)

    async def _turn(
        self, ctx: AgentContext, question: str, speaker: Speaker, number: int, said: Sequence[Turn]
    ) -> Turn:
        turn_id = f"r{number}{speaker.key}"
        others = [turn.id for turn in said if turn.speaker != speaker.name]
        system = (
            f"You take part in a debate. Your position: {speaker.name}\nArgue for it in at most three short paragraphs."
        )
        if not others:
            content = f"Question: {question}"
            messages = [Message(role="system", content=system), Message(role="user", content=content)]
            opening, _ = await ask(
                ctx, turn_id, messages, Opening, model=speaker.model, max_tokens=TURN_TOKENS, check=_has_text
            )
            return Turn(id=turn_id, round=number, speaker=speaker.name, text=_text(opening), rebuts=[])
        content = (
            f"Question: {question}\n\n{speeches(said)}\n\nAnswer the others, and name the speeches that you rebut."
        )
        messages = [Message(role="system", content=system), Message(role="user", content=content)]
        reply, _ = await ask(
            ctx, turn_id, messages, Reply, model=speaker.model, max_tokens=TURN_TOKENS,
            hints={"rebuts": {"items": {"enum": others}}}, check=_has_text,
        )  # fmt: skip
        rebuts = [turn for turn in dict.fromkeys(reply.rebuts) if turn in others]
        return Turn(id=turn_id, round=number, speaker=speaker.name, text=_text(reply), rebuts=rebuts)

    async def _verdict(
        self, ctx: AgentContext, question: str, speakers: Sequence[Speaker], said: Sequence[Turn], model: str | None
    ) -> Verdict:
        names = {speaker.key: speaker.name for speaker in speakers}

        def known(judgement: Judgement) -> None:
            if winner_of(judgement.winner, names) is None:
                raise ValueError(f"winner: must be one of {', '.join([*names, NONE])}")

        sides = "\n".join(f"{key}: {name}" for key, name in names.items())
        content = f"Question: {question}\n\nSpeakers:\n{sides}\n\n{speeches(said)}"
        judgement, _ = await ask(
            ctx, "verdict", [Message(role="system", content=JUDGE), Message(role="user", content=content)], Judgement,
            model=model, max_tokens=VERDICT_TOKENS, hints={"winner": {"enum": [*names, NONE]}}, check=known,
        )  # fmt: skip
        verdict = Verdict(
            winner=winner_of(judgement.winner, names) or NONE,
            confidence=judgement.confidence_percent / 100,
            reasons=[reason.strip() for reason in judgement.reasons if reason.strip()],
        )
        await ctx.emit("verdict", verdict.model_dump())
        return verdict

    async def _control(self, ctx: AgentContext, question: str, token_limit: int, model: str | None) -> DebateControl:
        messages = [Message(role="system", content=ALONE), Message(role="user", content=f"Question: {question}")]
        reply = await ctx.model("control", ModelRequest(messages=messages, model=model, max_tokens=token_limit))
        return DebateControl(
            text=reply.text.strip(), model=reply.model, output_tokens=reply.output_tokens, token_limit=token_limit
        )


def unique(positions: Sequence[str]) -> list[str]:
    """The positions as speakers' names: a repeated one gets its number, and none is called `none`."""
    names: list[str] = []
    for position in positions:
        name, n = position.strip() or "(no words)", 1
        while name in names or name.lower() == NONE:
            n += 1
            name = f"{position.strip()} ({n})"
        names.append(name)
    return names


def speeches(said: Sequence[Turn]) -> str:
    """What was said so far, each speech under its id, long ones cut."""
    return "\n\n".join(f"Speech {turn.id}, by: {turn.speaker}\n{turn.text[:SHOWN_TURN_CHARS]}" for turn in said)


def winner_of(answer: str, names: Mapping[str, str]) -> str | None:
    """The speaker's name for a judge's `winner`: a key, a name, or `none`. None (the value) for anything else."""
    given = answer.strip()
    if given.lower() == NONE:
        return NONE
    return names.get(given.lower()) or (given if given in names.values() else None)


def _text(speech: Opening | Reply) -> str:
    return "\n\n".join(text for paragraph in speech.paragraphs if (text := paragraph.strip()))


def _has_text(speech: Opening | Reply) -> None:
    if not _text(speech):
        raise ValueError("paragraphs: at least one must have text")
