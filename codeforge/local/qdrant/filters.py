"""Qdrant's filters (https://qdrant.tech/documentation/concepts/filtering/): the conditions that this server knows.

Values, lists of values and numeric ranges of a payload key, ids, empty and null keys, and filters within filters.
Geometry, full text, dates and counts are refused.
"""

from typing import Annotated, Self

import qdrant_edge as edge
from pydantic import Field, model_validator

from codeforge.local.qdrant.body import Body, PointId

MAX_VALUES = 10_000

Values = Annotated[list[str] | list[int], Field(max_length=MAX_VALUES)]


class MatchValue(Body):
    """The key has this value, or a list that holds it."""

    value: str | int | bool

    def build(self) -> edge.MatchValue:
        """The engine's form."""
        return edge.MatchValue(value=self.value)


class MatchAny(Body):
    """The key has one of these values."""

    any: Values

    def build(self) -> edge.MatchAny:
        """The engine's form."""
        return edge.MatchAny(any=self.any)


class MatchExcept(Body):
    """The key has a value that is none of these."""

    values: Annotated[Values, Field(alias="except")]

    def build(self) -> edge.MatchExcept:
        """The engine's form."""
        return edge.MatchExcept(self.values)


class Range(Body):
    """Numbers only; null bounds are open."""

    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None

    def build(self) -> edge.RangeFloat:
        """The engine's form."""
        return edge.RangeFloat(gt=self.gt, gte=self.gte, lt=self.lt, lte=self.lte)


class FieldCondition(Body):
    """A condition on the payload's `key`, which may be a path with dots."""

    key: str
    match: MatchValue | MatchAny | MatchExcept | None = None
    range: Range | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        if (self.match is None) == (self.range is None):
            raise ValueError("expected either match or range")
        return self

    def build(self) -> edge.FieldCondition:
        """The engine's form."""
        if self.match is not None:
            return edge.FieldCondition(key=self.key, match=self.match.build())
        return edge.FieldCondition(key=self.key, range=None if self.range is None else self.range.build())


class PayloadKey(Body):
    """Names a payload key."""

    key: str


class HasId(Body):
    """The point's id is one of these."""

    has_id: Annotated[list[PointId], Field(max_length=MAX_VALUES)]

    def build(self) -> edge.HasIdCondition:
        """The engine's form."""
        return edge.HasIdCondition(point_ids=set(self.has_id))


class IsEmpty(Body):
    """The key is absent, null or an empty list."""

    is_empty: PayloadKey

    def build(self) -> edge.IsEmptyCondition:
        """The engine's form."""
        return edge.IsEmptyCondition(key=self.is_empty.key)


class IsNull(Body):
    """The key is there and null."""

    is_null: PayloadKey

    def build(self) -> edge.IsNullCondition:
        """The engine's form."""
        return edge.IsNullCondition(key=self.is_null.key)


class MinShould(Body):
    """At least `min_count` of the conditions."""

    conditions: "list[Condition]"
    min_count: Annotated[int, Field(ge=0)]

    def build(self) -> edge.MinShould:
        """The engine's form."""
        return edge.MinShould(conditions=_all(self.conditions), min_count=self.min_count)


class Filter(Body):
    """All of `must`, none of `must_not`, at least one of `should`, at least so many of `min_should`."""

    must: "list[Condition] | Condition | None" = None
    must_not: "list[Condition] | Condition | None" = None
    should: "list[Condition] | Condition | None" = None
    min_should: MinShould | None = None

    def build(self) -> edge.Filter:
        """The engine's form."""
        return edge.Filter(
            must=None if self.must is None else _all(self.must),
            must_not=None if self.must_not is None else _all(self.must_not),
            should=None if self.should is None else _all(self.should),
            min_should=None if self.min_should is None else self.min_should.build(),
        )


Condition = FieldCondition | HasId | IsEmpty | IsNull | Filter

MinShould.model_rebuild()
Filter.model_rebuild()


def _all(conditions: list[Condition] | Condition) -> "list[edge.ConditionType]":
    given = conditions if isinstance(conditions, list) else [conditions]
    return [condition.build() for condition in given]


def build_filter(given: Filter | None) -> edge.Filter | None:
    """The engine's filter, or None for none."""
    return None if given is None else given.build()
