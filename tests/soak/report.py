"""The report of a soak as Markdown."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.__main__ import machine

if TYPE_CHECKING:
    from tests.soak.__main__ import Soak

BEGIN, END = "<!-- begin of the measured part -->", "<!-- end of the measured part -->"


def render(soak: "Soak") -> str:
    """All of it."""
    return "\n\n".join((_summary(soak), _agreements(soak), _processes(soak), _lag(soak), _keys(soak)))


def write(path: Path, text: str) -> None:
    """Puts it between the page's marks."""
    head, _, rest = path.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    path.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """In Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _summary(soak: "Soak") -> str:
    accepted = sum(soak.accepted.values())
    kills = ", ".join(f"{name} {count}" for name, count in sorted(soak.kills.items()))
    return (
        f"Machine: {machine()}. Load: {soak.rate:g} tasks/s for {soak.seconds / 60:g} minutes, "
        f"{_counts(soak.accepted)}; one call of the model takes a second.\n\n"
        f"{accepted:,} tasks accepted, {soak.cancelled:,} of them cancelled while they waited, "
        f"**{soak.missing} lost**. "
        f"Killed by SIGKILL: {kills}. Requests of the client that had to be repeated: {soak.retried}. "
        f"Resets of the counters that Prometheus saw: {soak.resets:g}. "
        f"Alerts that fired: {', '.join(sorted(soak.firing)) or 'none'}."
    )


def _agreements(soak: "Soak") -> str:
    rows = [(one.when, len(one.ledger), f"{one.ledger_total:,.0f}", len(one.differences)) for one in soak.agreements]
    text = table(("quiet moment", "numbers compared", "tasks submitted by then", "that differ"), rows)
    for one in soak.agreements:
        for name, (ledger, prometheus) in sorted(one.differences.items()):
            text += f"\n\n**{':'.join(name)}** {one.when}: ledger {ledger}, Prometheus {prometheus}"
    return text


def _processes(soak: "Soak") -> str:
    rows = []
    for name in sorted(soak.samples.processes):
        growth = soak.samples.growth(name)
        if growth is not None:
            rows.append(
                (
                    name, f"{growth.seconds / 60:.1f}", f"{growth.first_mb:.1f}", f"{growth.last_mb:.1f}",
                    f"{growth.mb_per_hour:+.1f}", f"{growth.files[0]} / {growth.files[1]}",
                )
            )  # fmt: skip
    head = ("process", "minutes", "MB, first", "MB, last", "slope, MB/hour", "open files, first / last")
    return f"Each process that lived longest under its name, after a warm-up:\n\n{table(head, rows)}"


def _lag(soak: "Soak") -> str:
    """By quarters of the time."""
    points = soak.samples.lag
    if len(points) < 4:
        return "Too short for a look at lags."
    size = len(points) // 4
    rows = []
    for quarter in range(4):
        part = points[quarter * size : (quarter + 1) * size]
        queued, outbox = [each[1] for each in part], [each[2] for each in part]
        rows.append((quarter + 1, _median(queued), max(queued), _median(outbox), max(outbox)))
    head = ("quarter", "queued and running, median", "most", "outbox, median", "most")
    return f"Waiting work, quarter by quarter:\n\n{table(head, rows)}"


def _keys(soak: "Soak") -> str:
    names = sorted(soak.keys_before.keys() | soak.keys_after.keys())
    rows = [(f"`{name}`", soak.keys_before[name], soak.keys_after[name]) for name in names]
    most = max((count for _, count in soak.samples.keys), default=0)
    text = table(("keys of Redis", "before", "after, when the results' time is over"), rows)
    return f"{text}\n\nMost keys at once: {most:,}."


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counter.most_common())


def _median(values: Sequence[int]) -> int:
    return sorted(values)[len(values) // 2]
