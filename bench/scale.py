"""How much is measured: all of it, or just enough to see that every program works."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Level:
    """So many agents at once, in so many worker processes, over so many rounds."""

    agents: int
    processes: int
    rounds: int
    peers: bool = True


@dataclass(frozen=True, slots=True)
class Scale:
    """`rounds` of every contender; `seconds` of HTTP load; `call_s` is what a model call takes where tasks are run to
    their end, `long_call_s` where memory is measured; counts of tasks, results, points and pages."""

    rounds: int
    seconds: float
    backlog: int
    empty_tasks: int
    levels: tuple[Level, ...]
    tasks_per_slot: int
    call_s: float
    density: tuple[Level, ...]
    long_call_s: float
    steady_s: float
    results: int
    singles: int
    points: tuple[int, ...]
    queries: int
    pages: int


FULL = Scale(
    rounds=5,
    seconds=3.0,
    backlog=1_000_000,
    empty_tasks=10_000,
    levels=(Level(500, 1, 5), Level(2_000, 2, 1), Level(5_000, 2, 1)),
    tasks_per_slot=10,
    call_s=2.0,
    density=(Level(500, 1, 5), Level(5_000, 2, 5), Level(10_000, 2, 5, peers=False)),
    long_call_s=20.0,
    steady_s=5.0,
    results=20_000,
    singles=500,
    points=(10_000, 1_000_000),
    queries=200,
    pages=200,
)

QUICK = Scale(
    rounds=1,
    seconds=1.0,
    backlog=2_000,
    empty_tasks=100,
    levels=(Level(20, 1, 1),),
    tasks_per_slot=2,
    call_s=0.2,
    density=(Level(20, 1, 1, peers=False),),
    long_call_s=2.0,
    steady_s=0.5,
    results=3_000,
    singles=10,
    points=(1_000,),
    queries=10,
    pages=20,
)
