"""Request bodies: the common ground of their models, and how a body that fits none is refused.

A field that Qdrant has and this server does not serve is declared as `Unsupported`: null, its default, is accepted,
anything else is refused by name. A field that Qdrant does not have is refused too.
"""

from typing import Annotated, TypeAlias, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from codeforge.local.qdrant.refusal import Refusal, invalid, malformed

U64_MAX = 2**64 - 1
U32_MAX = 2**32 - 1

Unsupported: TypeAlias = None
"""Type of a field that must be absent or null."""

PointId = Annotated[int, Field(ge=0, le=U64_MAX)] | UUID
Limit = Annotated[int, Field(ge=1, le=1_000_000)]

NOT_SERVED = "is not supported by the embedded server"
MAX_ERRORS = 3


class Body(BaseModel):
    """Base of every request and of what is nested in it. Numbers and texts are not converted into each other."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class SparseValues(Body):
    """A sparse vector: `indices` without repetition, one of `values` for each."""

    indices: list[Annotated[int, Field(ge=0, le=U32_MAX)]]
    values: list[float]


def _checked(vector: SparseValues) -> SparseValues:
    if len(vector.indices) != len(vector.values):
        raise ValueError("values: must be the same length as indices")
    if len(set(vector.indices)) != len(vector.indices):
        raise ValueError("indices: must be unique")
    return vector


Sparse = Annotated[SparseValues, AfterValidator(_checked)]
Dense = Annotated[list[float], Field(min_length=1)]

B = TypeVar("B", bound=Body)


def parse(model: type[B], content: bytes) -> B:
    """The body as `model`. Raises Refusal: 400 for what does not parse, 422 for a value that breaks a rule."""
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise _refusal(error) from error


def _refusal(error: ValidationError) -> Refusal:
    """The deepest problems are told first: the other branches of a union only say that they are other branches."""
    problems = error.errors(include_url=False, include_input=False)
    broken = [problem for problem in problems if problem["type"] == "value_error"]
    if broken:
        return invalid(
            "; ".join(f"{_path(problem['loc'])}: {_text(problem['msg'])}" for problem in broken[:MAX_ERRORS])
        )
    deepest = sorted(problems, key=lambda problem: -len(problem["loc"]))[:MAX_ERRORS]
    words = {"none_required": NOT_SERVED, "extra_forbidden": f"{NOT_SERVED} or is no field of this request"}
    return malformed(
        "; ".join(f"{_path(problem['loc'])}: {words.get(problem['type'], problem['msg'])}" for problem in deepest)
    )


def _path(loc: tuple[int | str, ...]) -> str:
    """The place in the body, without the names of models and unions that the parser puts in between."""
    parts = [str(part) for part in loc]
    return ".".join(part for part in parts if not part[:1].isupper() and "[" not in part) or "body"


def _text(message: str) -> str:
    return message.removeprefix("Value error, ")
