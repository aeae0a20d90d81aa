"""When tasks arrive.

| trace | |
|---|---|
| `burst:tasks=500` | all at once; `at=60` seconds after the start, `over=10` spread over so many seconds |
| `poisson:rate=2,seconds=3600` | at random, so many a second on average |
| `day:tasks=20000,peak=10` | a day (`seconds=86400`); at noon `peak` times as many come as at midnight |
| `csv:FILE` | the columns `at_s`, `type` and, if it is there, `duration_s` |
"""

import csv
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codeforge.capacity.distributions import Distribution
from codeforge.errors import CapacityError
from codeforge.worker_types import WorkerType

MAX_TASKS = 2_000_000
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A task: when it comes, and how long it works."""

    at_s: float
    type: WorkerType
    work_s: float


@dataclass(frozen=True, slots=True)
class Trace:
    """Arrivals in order of time; after a `burst` the time to full capacity means something."""

    text: str
    arrivals: Sequence[Arrival]
    length_s: float
    burst: bool = False


Mix = Mapping[WorkerType, float]
"""Shares of the types; they need not add up to 1."""

Durations = Mapping[WorkerType, Distribution]


def make_trace(text: str, mix: Mix, durations: Durations, seed: int) -> Trace:
    """The trace that `text` describes, the same for the same seed. Raises CapacityError, which names the field."""
    kind, _, rest = text.partition(":")
    rng = random.Random(f"arrivals {seed}")  # noqa: S311 - a simulation, not a secret
    if kind == "csv":
        return _from_csv(text, Path(rest), durations, rng)
    times, length_s = _times(text, kind, rest, rng)
    types = list(mix)
    shares = [mix[each] for each in types]
    chosen = rng.choices(types, shares, k=len(times))
    arrivals = [
        Arrival(at_s, each, durations[each].draw(rng)) for at_s, each in zip(sorted(times), chosen, strict=True)
    ]
    return Trace(text, arrivals, length_s, burst=kind == "burst")


def _times(text: str, kind: str, rest: str, rng: random.Random) -> tuple[list[float], float]:
    match kind:
        case "burst":
            given = _parameters(text, rest, {"tasks": None, "at": 0.0, "over": 0.0})
            times = [given["at"] + rng.uniform(0.0, given["over"]) for _ in range(_count(text, given["tasks"]))]
            return times, given["at"] + given["over"]
        case "poisson":
            given = _parameters(text, rest, {"rate": None, "seconds": None})
            _count(text, given["rate"] * given["seconds"])
            return _poisson(given["rate"], given["seconds"], rng), given["seconds"]
        case "day":
            given = _parameters(text, rest, {"tasks": None, "peak": 10.0, "seconds": DAY_S})
            count = _count(text, given["tasks"])
            if given["peak"] < 1:
                raise CapacityError(f"--trace {text}: peak must be 1 or more, not {given['peak']:g}")
            return [_moment(given["peak"], given["seconds"], rng) for _ in range(count)], given["seconds"]
    raise CapacityError(f"--trace {text}: {kind!r} is no kind of trace; expected burst, poisson, day or csv")


def _parameters(text: str, rest: str, known: Mapping[str, float | None]) -> dict[str, float]:
    given: dict[str, float | None] = dict(known)
    for part in filter(None, rest.split(",")):
        name, _, value = part.partition("=")
        if name not in known:
            raise CapacityError(f"--trace {text}: there is no {name!r}; expected {', '.join(known)}")
        try:
            given[name] = float(value)
        except ValueError:
            raise CapacityError(f"--trace {text}: {name} must be a number, not {value!r}") from None
        if not 0 <= float(value) < math.inf:
            raise CapacityError(f"--trace {text}: {name} must be 0 or more, not {value}")
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise CapacityError(f"--trace {text}: {missing[0]} is missing")
    return {name: value for name, value in given.items() if value is not None}


def _count(text: str, tasks: float) -> int:
    if not 1 <= tasks <= MAX_TASKS:
        raise CapacityError(f"--trace {text}: makes {tasks:g} tasks; between 1 and {MAX_TASKS:,} can be simulated")
    return int(tasks)


def _poisson(rate: float, seconds: float, rng: random.Random) -> list[float]:
    times: list[float] = []
    moment = rng.expovariate(rate)
    while moment < seconds:
        times.append(moment)
        moment += rng.expovariate(rate)
    return times


def _moment(peak: float, seconds: float, rng: random.Random) -> float:
    """A time of day, by rejection: the rate goes from 1 at midnight to `peak` at noon and back, as a squared sine."""
    while True:
        moment = rng.uniform(0.0, seconds)
        if rng.uniform(0.0, peak) <= 1 + (peak - 1) * math.sin(math.pi * moment / seconds) ** 4:
            return moment


def _from_csv(text: str, path: Path, durations: Durations, rng: random.Random) -> Trace:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = {"at_s", "type"} - set(reader.fieldnames or ())
            if missing:
                raise CapacityError(f"--trace {text}: the column {sorted(missing)[0]} is missing")
            arrivals = [_row(f"--trace {text}: line {reader.line_num}", row, durations, rng) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CapacityError(f"--trace {text}: {getattr(error, 'strerror', None) or 'is no CSV text'}") from error
    _count(text, len(arrivals))
    arrivals.sort(key=lambda arrival: arrival.at_s)
    return Trace(text, arrivals, arrivals[-1].at_s)


def _row(where: str, row: Mapping[str, str], durations: Durations, rng: random.Random) -> Arrival:
    try:
        worker_type = WorkerType(row["type"])
    except ValueError:
        raise CapacityError(f"{where}: type: there is no {row['type']!r}") from None
    given = {"at_s": row["at_s"]} | ({"duration_s": row["duration_s"]} if row.get("duration_s") else {})
    for name, value in given.items():
        try:
            valid = 0 <= float(value) < math.inf
        except (TypeError, ValueError):
            valid = False
        if not valid:
            raise CapacityError(f"{where}: {name} must be a number of 0 or more, not {value!r}")
    work_s = float(given["duration_s"]) if "duration_s" in given else durations[worker_type].draw(rng)
    return Arrival(float(row["at_s"]), worker_type, max(work_s, 0.01))
