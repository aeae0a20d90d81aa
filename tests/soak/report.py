"""What a soak found, as a page."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.soak.load import Load
from tests.soak.verdict import Comparison
from tests.soak.watch import WAITING, WARM_S, Watch

MOST_KEYS = 8
"""Of one kind, that are not of tasks: the partitions of the outbox, what is there once."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that was found. `nodes` are the graph's tasks by state, `redis_mb` what Redis used at both ends."""

    machine: str
    minutes: float
    killed: int
    load: Load
    watch: Watch
    comparisons: Sequence[Comparison]
    nodes: Counter[str]
    keys_before: Counter[str]
    keys_after: Counter[str]
    redis_mb: tuple[float, float]
    drain_s: float
    delayed: int
    alerts: set[str]

    @property
    def wrong(self) -> list[str]:
        """What must not be."""
        figures = {each.name: each.ledger for each in self.comparisons}
        submitted = sum(value for name, value in figures.items() if name.startswith("submitted "))
        finished = sum(value for name, value in figures.items() if name.startswith("finished "))
        accepted = self.load.accepted.total() + self.delayed
        found = [
            f"{each.name}: {each.ledger} is {each.prometheus} in Prometheus"
            for each in self.comparisons
            if not each.equal
        ]
        if not accepted <= submitted <= accepted + self.load.unanswered.total():
            found.append(f"{accepted} tasks were accepted, the ledger counts {submitted:.0f}")
        if finished != submitted - self.delayed:
            found.append(f"of {submitted:.0f} tasks {finished:.0f} ended and {self.delayed} are delayed")
        if self.nodes.total() != finished:
            found.append(f"{finished:.0f} tasks ended, the graph has {self.nodes.total()}")
        left = self.keys_after - self.keys_before
        found += [f"{count} keys {kind} stayed in Redis" for kind, count in left.items() if count > MOST_KEYS]
        return found


def page(outcome: Outcome) -> str:
    """The whole page."""
    return "\n".join(_lines(outcome)) + "\n"


def _lines(outcome: Outcome) -> Iterator[str]:
    load, equal = outcome.load, sum(each.equal for each in outcome.comparisons)
    yield f"""{outcome.machine}.

## What came of it
- {_counts(load.accepted)}: {load.accepted.total()} tasks accepted in {outcome.minutes:g} minutes,
  {load.accepted.total() / outcome.minutes / 60:.1f} a second. Refused: {_counts(load.refused)}; unanswered:
  {_counts(load.unanswered)}. The slowest answer to a submission took {load.slowest_s:.2f} s. All had ended and were
  stored {outcome.drain_s:.0f} s after the last one.
- {outcome.killed} workers were killed with SIGKILL, one after the other, in the first 60 % of the run.
- Alerts that fired at the end: {", ".join(sorted(outcome.alerts)) or "none"}.
- {equal} of {len(outcome.comparisons)} counters and depths are the same in Prometheus and in the ledger.
- Tasks in the graph: {_counts(outcome.nodes)}.
- What must not be: {"; ".join(outcome.wrong) or "nothing found"}.

## Memory and descriptors

Of each process the longest life. The slope is by least squares, without the first {WARM_S:.0f} s of a process. `graph`
and `vectors` hold what was stored.

| process | watched s | MB first, warm, last | MB an hour | descriptors warm, last, most | lives |
|---|---:|---:|---:|---:|---:|"""
    lives = Counter(name for name, _ in outcome.watch.lives)
    for name, life in sorted(outcome.watch.longest().items()):
        warm = min(life.warm, len(life.at_s) - 1)
        slope = "" if life.slope_mb_h is None else f"{life.slope_mb_h:+.1f}"
        yield (
            f"| {name} | {life.at_s[-1] - life.at_s[0]:.0f} | {life.mb[0]:.0f}, {life.mb[warm]:.0f}, {life.mb[-1]:.0f} "
            f"| {slope} | {life.descriptors[warm]}, {life.descriptors[-1]}, {max(life.descriptors)} | {lives[name]} |"
        )
    yield """
## What waited

Median (greatest) in each quarter of the run, by Prometheus.

| | 1st | 2nd | 3rd | 4th |
|---|---:|---:|---:|---:|"""
    for name in WAITING:
        cells = [f"{middle:.1f} ({most:.1f})" for middle, most in outcome.watch.quarters(name)]
        yield f"| {name} | {' | '.join(cells)} |"
    yield f"""
## Keys in Redis

Before the run, and once its tasks' retention was over. Redis used {outcome.redis_mb[0]:.1f} MB before and
{outcome.redis_mb[1]:.1f} MB after.

| kind | before | after |
|---|---:|---:|"""
    for kind in sorted(outcome.keys_before | outcome.keys_after):
        yield f"| `{kind}` | {outcome.keys_before[kind]} | {outcome.keys_after[kind]} |"
    yield """
## Prometheus and the ledger

| figure | ledger | Prometheus |
|---|---:|---:|"""
    for each in outcome.comparisons:
        if each.ledger or each.prometheus:
            told = "none" if each.prometheus is None else f"{each.prometheus:.0f}"
            yield f"| {each.name} | {each.ledger:.0f} | {told} |"


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "none"
