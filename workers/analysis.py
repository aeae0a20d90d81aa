"""The analysis agent: reads sources on a question and writes a report, and checks each sentence of it against them."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from codeforge.agent import AgentContext, Message
from codeforge.identity import claim_id
from codeforge.inputs import AnalysisInput
from codeforge.llm.structured import Line, Paragraph, ask
from codeforge.results import AnalysisResult, Claim, Source, SourcePassage, Span
from codeforge.worker_types import WorkerType
from workers.passages import Passage
from workers.purse import BudgetSpent, Purse
from workers.rendering import joined, markdown_of
from workers.report import Draft, Writer, sources_of, span_of, without_citations
from workers.research import BUDGET_LIMITED, Material, Research
from workers.reuse import UNAVAILABLE, Look, look

EXCERPT_CHARS = 500
ALONE_TOKENS = 1_500

ALONE = (
    "You are an analyst. There are no sources. Say in a few paragraphs what you know about the question, and list the "
    "main claims."
)
NO_SOURCES = "No source could be read. What follows is the model's own knowledge, and nothing of it is supported."
NOTHING = "No source could be read, and the budget left no room to ask a model."


class Recollection(BaseModel):
    """What the model answers when there are no sources."""

    paragraphs: list[Paragraph] = Field(min_length=1, json_schema_extra={"maxItems": 4})
    claims: list[Line] = Field(json_schema_extra={"minItems": 1, "maxItems": 6})


class AnalysisAgent:
    """Reads the given URLs and what a web search finds, and writes a report with checked claims."""

    type = WorkerType.ANALYSIS

    async def run(self, ctx: AgentContext, task_input: AnalysisInput) -> AnalysisResult:
        """Answers the question. A source that cannot be read is listed in `failed`. Raises TaskError when the search
        that was asked for by name is not configured, and ModelError."""
        looked = await look(ctx, task_input) if task_input.reuse else Look()
        if (earlier := looked.result()) is not None and earlier.reused is not None:
            await ctx.emit("reused", {"task_id": earlier.reused.task_id})
            await ctx.progress(1, 1, "done before")
            return earlier
        purse = Purse(ctx, ctx.task.budget_tokens)
        research = Research(ctx, purse, task_input)
        material = await research.run()
        if looked.trouble:
            material.warn(UNAVAILABLE, looked.trouble)
        await ctx.progress(research.stages, research.stages + 1, f"writing from {len(material.pages)} sources")
        if material.pages:
            draft = await Writer(purse, material, task_input.depth).write()
            if not draft.by_model:
                material.warn("budget_limited", BUDGET_LIMITED)
            report, claims = markdown_of(draft), claims_of(ctx.task.id, draft)
        else:
            draft = Draft([], [])
            material.warn("no_sources", NO_SOURCES)
            report, claims = await self._recall(ctx.task.id, purse, material)
        await ctx.emit("report", {"claims": len(claims), "supported": sum(claim.supported for claim in claims)})
        await ctx.progress(research.stages + 1, research.stages + 1, "done")
        cited = [span for claim in claims for span in claim.spans]
        cited += [span for contradiction in draft.contradictions for span in contradiction.spans]
        return AnalysisResult(
            report=report,
            claims=claims,
            sources=sources(material, cited),
            contradictions=list(draft.contradictions),
            questions=material.questions,
            failed=material.failed,
            warnings=list(material.warnings.values()),
            work=research.work,
        )

    async def _recall(self, task_id: str, purse: Purse, material: Material) -> tuple[str, list[Claim]]:
        question = material.questions[0]
        try:
            answer, _ = await ask(
                purse,
                "report",
                [Message(role="system", content=ALONE), Message(role="user", content=f"Question: {question}")],
                Recollection,
                max_tokens=ALONE_TOKENS,
                check=_has_text,
            )
        except BudgetSpent:
            material.warn("budget_limited", BUDGET_LIMITED)
            return NOTHING, []
        report = f"{NO_SOURCES}\n\n{joined([without_citations(text) for text in answer.paragraphs])}"
        texts = [text for claim in answer.claims if (text := without_citations(claim))]
        return report, [
            Claim(id=claim_id(task_id, n), text=text, sources=[], supported=False, reason="there are no sources")
            for n, text in enumerate(texts)
        ]


def claims_of(task_id: str, draft: Draft) -> list[Claim]:
    """Every sentence of the report as a claim."""
    return [
        Claim(
            id=claim_id(task_id, n),
            text=one.text,
            sources=sources_of(one.found),
            supported=bool(one.found),
            spans=[span_of(found) for found in one.found],
            reason=one.reason,
        )
        for n, one in enumerate(draft.statements)
    ]


def sources(material: Material, spans: Sequence[Span]) -> list[Source]:
    """The pages as numbered sources, with those passages that a span lies in."""
    return [
        Source(
            n=n,
            url=page.final_url,
            title=page.title,
            excerpt=" ".join(page.markdown.split())[:EXCERPT_CHARS],
            content_hash=page.content_hash,
            passages=[
                SourcePassage(start=passage.start, text=passage.text)
                for passage in material.passages
                if passage.source == n and any(_lies_in(span, passage) for span in spans)
            ],
        )
        for n, page in enumerate(material.pages, 1)
    ]


def _lies_in(span: Span, passage: Passage) -> bool:
    return span.source == passage.source and passage.start <= span.start and span.end <= passage.end


def _has_text(answer: Recollection) -> None:
    if not joined(answer.paragraphs):
        raise ValueError("paragraphs: at least one must have text")
