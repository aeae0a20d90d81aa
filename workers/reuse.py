"""An earlier analysis of the tenant that answers the same question, instead of doing the work again."""

from datetime import UTC, datetime

from pydantic import BaseModel, ValidationError

from codeforge.agent import AgentContext, EarlierTask
from codeforge.equivalence import answers_others, key_of, keys_for
from codeforge.errors import TaskError
from codeforge.inputs import AnalysisInput
from codeforge.results import AnalysisResult, Reused, Saved, Work

UNAVAILABLE = "reuse_unavailable"


class Look(BaseModel):
    """What a look at earlier results left, as the journal keeps it: another attempt decides alike, even if the earlier
    task is gone by then. `trouble` is why none could be looked at."""

    found: EarlierTask | None = None
    trouble: str = ""

    def result(self) -> AnalysisResult | None:
        """The earlier result as this task's own, which did no work."""
        if self.found is None:
            return None
        earlier, result = self.found, AnalysisResult.model_validate_json(self.found.result)
        return result.model_copy(
            update={
                "warnings": [notice for notice in result.warnings if notice.code != UNAVAILABLE],
                "work": Work(),
                "reused": Reused(
                    task_id=earlier.id,
                    question=AnalysisInput.model_validate_json(earlier.input).question,
                    created_at=_rfc3339(earlier.created_at),
                    age_s=earlier.age_s,
                    saved=Saved(**result.work.model_dump(), tokens=earlier.tokens, usd=earlier.usd),
                ),
            }
        )


async def look(ctx: AgentContext, asked: AnalysisInput) -> Look:
    """The newest earlier result that answers the question; a journaled step. A store that cannot be asked is no
    failure."""

    async def now() -> Look:
        try:
            candidates = await ctx.earlier(keys_for(asked))
        except TaskError as error:
            if error.code != UNAVAILABLE:
                raise
            return Look(trouble=error.message)
        return Look(found=next((one for one in candidates if _answers(one, asked)), None))

    return await ctx.step("reuse", now, Look)


def _answers(earlier: EarlierTask, asked: AnalysisInput) -> bool:
    """Whether it does, by its own input and result. Those of another version may be of another shape."""
    try:
        same = key_of(AnalysisInput.model_validate_json(earlier.input)) in keys_for(asked)
        return same and answers_others(AnalysisResult.model_validate_json(earlier.result))
    except ValidationError:
        return False


def _rfc3339(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1_000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
