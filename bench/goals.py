"""The goals, each with how it is measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import ge, le, lt

from bench import agents, crews, density, empty, exposition, frontdoor, projector, scrape
from bench.figures import Figure, Piece

Pieces = Mapping[str, Piece]


@dataclass(frozen=True, slots=True)
class Goal:
    """`measured` gives the figure, whose median `meets` the `bound`."""

    text: str
    bound: float
    meets: Callable[[float, float], bool]
    measured: Callable[[Pieces], Figure | None]
    digits: int = 2

    def row(self, pieces: Pieces) -> str:
        """Its line of the table."""
        found = self.measured(pieces)
        if found is None:
            return f"| {self.text} | not measured | |"
        verdict = "met" if self.meets(found.median, self.bound) else "**missed**"
        return f"| {self.text} | {found.text(self.digits)} | {verdict} |"


def _figure(piece: str, contender: str, name: str) -> Callable[[Pieces], Figure | None]:
    return lambda pieces: pieces[piece].get(contender, name) if piece in pieces else None


def _ratio(piece: str, contender: str, base: str, name: str) -> Callable[[Pieces], Figure | None]:
    return lambda pieces: pieces[piece].ratio(contender, base, name) if piece in pieces else None


def _ours(agents_at_once: int) -> str:
    return f"{crews.OURS} at {agents_at_once:,}"


GOALS: Sequence[Goal] = (
    Goal(
        "POST to the bare limit: at least 0.55",
        0.55,
        ge,
        _ratio(frontdoor.NAME, frontdoor.OURS, frontdoor.BARE, "per_s"),
    ),
    Goal(
        "POST to FastAPI and apply_async: at least 4",
        4,
        ge,
        _ratio(frontdoor.NAME, frontdoor.OURS, frontdoor.NAIVE, "per_s"),
        1,
    ),
    Goal("POST p99 at 32 clients: under 50 ms", 50, lt, _figure(frontdoor.NAME, frontdoor.OURS, "p99_ms"), 1),
    Goal(
        "p50 behind a backlog of 1,000,000 to that of an empty queue: within 1.2",
        1.2,
        le,
        _ratio(frontdoor.NAME, frontdoor.BACKLOG, frontdoor.OURS, "p50_ms"),
    ),
    Goal(
        "a scrape at 5,000 running tasks: under 20 ms",
        20,
        lt,
        _figure(exposition.NAME, exposition.contender(exposition.TASKS), "p50_ms"),
        1,
    ),
    Goal(
        "500 agents: under 200 MB in all worker processes", 200, lt, _figure(density.NAME, _ours(500), "workers_mb"), 0
    ),
    Goal("5,000 agents: under 700 MB", 700, lt, _figure(density.NAME, _ours(5_000), "workers_mb"), 0),
    Goal(
        "10,000 agents on two cores: the aim is 1,000 MB",
        1_000,
        le,
        _figure(density.NAME, _ours(10_000), "workers_mb"),
        0,
    ),
    Goal(
        "makespan at 500 with results in both stores: within 1.15 of the ideal",
        1.15,
        le,
        _figure(agents.NAME, _ours(500), "over_ideal"),
    ),
    Goal("empty tasks/s to dramatiq: at least 1", 1, ge, _ratio(empty.NAME, crews.OURS, crews.DRAMATIQ, "per_s")),
    Goal(
        "projector: at least 2,000 results/s into both stores",
        2_000,
        ge,
        _figure(projector.NAME, crews.OURS, "per_s"),
        0,
    ),
    Goal(
        "projector to one write at a time: at least 10",
        10,
        ge,
        _ratio(projector.NAME, crews.OURS, projector.SINGLES, "per_s"),
        1,
    ),
    Goal(
        "200 pages over ten hosts to a plain httpx loop: within 1.5",
        1.5,
        le,
        _ratio(scrape.NAME, scrape.OURS, scrape.LOOP, "seconds"),
    ),
    Goal(
        "requests at once that a host saw: no more than its limit of 8",
        8,
        le,
        _figure(scrape.NAME, scrape.OURS, "most_at_once"),
        0,
    ),
    Goal(
        "projector: memory flat (under 20 MB from a quarter of the results to the end)",
        20,
        lt,
        _figure(projector.NAME, crews.OURS, "growth_mb"),
        1,
    ),
)


def markdown(pieces: Pieces) -> str:
    """The table of goals."""
    rows = [goal.row(pieces) for goal in GOALS]
    return "\n".join(["### Goals", "", "| goal | measured: median (least to greatest) | |", "|---|---:|---|", *rows])
