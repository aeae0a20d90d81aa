"""Runs the fault suite and prints its table: `python -m tests.faults [--only TEXT] [--short] [--report FILE]`;
with `--cost` it measures what the ledger costs a task instead.

The report replaces what stands between the two marks in the file. The exit code is 1 when a figure that must be zero
is not.
"""

import argparse
import os
import platform
import sys
from pathlib import Path

import psutil

from tests.faults.cost import TASKS, table
from tests.faults.rig import LEASE_S
from tests.faults.scenarios import SCENARIOS, Scenario, recovery
from tests.faults.verdict import Figures

BEGIN, END = "<!-- begin of the measured table -->", "<!-- end of the measured table -->"
COST_BEGIN, COST_END = "<!-- begin of the cost -->", "<!-- end of the cost -->"
HEAD = (
    "scenario", "faults injected", "accepted", "gone in the window", "ended", "lost", "second results",
    "rows predicted / found", "points", "missing, unexpected, duplicate", "model calls", "repeated though journaled",
    "residual repeats", "most calls at once", "recovery, median / worst", "seconds",
)  # fmt: skip


def row(scenario: Scenario, figures: Figures) -> tuple[str, ...]:
    """One line of the table."""
    rows = {kind: count for kind, count in figures.predicted.items() if kind != "point"}
    found = {kind: count for kind, count in figures.found.items() if kind != "point"}
    ended = ", ".join(f"{count} {state}" for state, count in sorted(figures.states.items()))
    return (
        scenario.name, figures.faults, str(figures.accepted), str(figures.gone), ended, str(figures.lost),
        str(figures.second_results),
        f"{sum(rows.values())} / {sum(found.values())}",
        f"{figures.predicted.get('point', 0)} / {figures.found.get('point', 0)}",
        f"{figures.missing}, {figures.unexpected}, {figures.duplicates}", str(figures.calls),
        str(figures.repeated_though_journaled), str(figures.residual_repeats), str(figures.most_in_flight),
        recovery(figures), f"{figures.seconds:.0f}",
    )  # fmt: skip


def machine() -> str:
    """Its size, in words."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"


def report(path: Path, lines: list[tuple[str, ...]]) -> None:
    """Puts the table between the marks. Scenarios that did not run this time keep their lines."""
    head, _, rest = path.read_text().partition(BEGIN)
    before, _, tail = rest.partition(END)
    kept = {line.split(" | ")[0]: line for line in before.splitlines()}
    kept |= {f"| {cells[0]}": "| " + " | ".join(cells) + " |" for cells in lines}
    ours = [kept[f"| {scenario.name}"] for scenario in SCENARIOS if f"| {scenario.name}" in kept]
    lines_of = "\n".join(["| " + " | ".join(cells) + " |" for cells in (HEAD, ("---",) * len(HEAD))] + ours)
    measured = f"Machine: {machine()}. Lease: {LEASE_S} s.\n\n{lines_of}"
    path.write_text(f"{head}{BEGIN}\n{measured}\n{END}{tail}")


def report_cost(path: Path | None) -> None:
    """Measures what the ledger costs; prints it, and puts it between the marks."""
    text = "\n".join([f"Machine: {machine()}. {TASKS} tasks each.", "", *table()])
    say(text)
    if path is not None:
        head, _, rest = path.read_text().partition(COST_BEGIN)
        path.write_text(f"{head}{COST_BEGIN}\n{text}\n{COST_END}{rest.partition(COST_END)[2]}")


def main() -> None:
    """One scenario after the other; a failed one does not stop the next."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", default="", help="only scenarios whose name holds this text")
    parser.add_argument("--short", action="store_true", help="the small loads of the run in CI")
    parser.add_argument("--report", type=Path, help="write the table into this file")
    parser.add_argument("--cost", action="store_true", help="only measure what the ledger costs a task")
    options = parser.parse_args()
    if options.cost:
        report_cost(options.report)
        return
    lines: list[tuple[str, ...]] = []
    broken = 0
    for scenario in SCENARIOS:
        load = scenario.short if options.short else scenario.full
        if load is None or options.only not in scenario.name:
            continue
        say(f"{scenario.name}: {load.tasks} tasks, model calls of {load.shortest_s} to {load.longest_s} s")
        try:
            figures = scenario.run(load)
        except Exception as error:  # one scenario that breaks must not hide the others' figures
            broken += 1
            say(f"  BROKEN {type(error).__name__}: {error}")
            lines.append((scenario.name, f"broken: {type(error).__name__}", *[""] * (len(HEAD) - 2)))
        else:
            broken += bool(figures.violations)
            lines.append(row(scenario, figures))
            for name, value in list(zip(HEAD, lines[-1], strict=True))[1:]:
                say(f"  {name}: {value}")
            say(f"  {'FAILED ' + ', '.join(figures.violations) if figures.violations else 'ok'}")
        if options.report:
            report(options.report, lines)
    sys.exit(1 if broken or not lines else 0)


def say(line: str) -> None:
    """Progress, at once."""
    print(line, flush=True)  # noqa: T201  # the program's output


if __name__ == "__main__":
    main()
