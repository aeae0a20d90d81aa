"""Port: who makes spans, and the one that makes none."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from enum import Enum
from types import MappingProxyType
from typing import Protocol, TypeAlias

Value: TypeAlias = str | int | float | bool | Sequence[str]
Attributes: TypeAlias = Mapping[str, Value]
NOTHING: Attributes = MappingProxyType({})


class Kind(Enum):
    """What a span stands for: the names of OpenTelemetry's span kinds."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    CONSUMER = "CONSUMER"


class Span(Protocol):
    """A span that has not ended."""

    def name(self, name: str) -> None:
        """Another name."""
        ...

    def set(self, attributes: Attributes) -> None:
        """Adds attributes."""
        ...

    def fail(self, error: str) -> None:
        """Marks it as failed, with the error's code."""
        ...


Spans: TypeAlias = AbstractContextManager[Span]


class Tracer(Protocol):
    """Makes spans; see the functions of `codeforge.tracing`."""

    def span(self, name: str, kind: Kind, attributes: Attributes, parent: str | None) -> Spans:
        """A span around a block."""
        ...

    def record(
        self, name: str, begun_ns: int, ended_ns: int, kind: Kind, attributes: Attributes, parent: str | None
    ) -> None:
        """A span of what is over."""
        ...

    def current(self) -> str | None:
        """The current span's traceparent."""
        ...

    def close(self) -> None:
        """Sends the rest."""
        ...


class _NoSpan:
    def name(self, name: str) -> None:
        """See `Span.name`."""

    def set(self, attributes: Attributes) -> None:
        """See `Span.set`."""

    def fail(self, error: str) -> None:
        """See `Span.fail`."""


NO_SPAN: Spans = nullcontext(_NoSpan())


class NoTracer:
    """Makes none."""

    def span(self, name: str, kind: Kind, attributes: Attributes, parent: str | None) -> Spans:
        """See `Tracer.span`."""
        return NO_SPAN

    def record(
        self, name: str, begun_ns: int, ended_ns: int, kind: Kind, attributes: Attributes, parent: str | None
    ) -> None:
        """See `Tracer.record`."""

    def current(self) -> str | None:
        """See `Tracer.current`."""
        return None

    def close(self) -> None:
        """See `Tracer.close`."""
