"""`python -m bench [--quick] [piece...]` measures; `python -m bench report` renews docs/performance.md from the figures
that are there. Figures are kept after each measurement, so that a run that was stopped goes on where it was."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import agents, density, empty, exposition, frontdoor, projector, scrape, search
from bench.figures import RESULTS
from bench.report import renew
from bench.scale import FULL, QUICK
from bench.turns import Turns

PIECES: dict[str, Callable[[Turns], None]] = {
    module.NAME: module.measure for module in (frontdoor, exposition, empty, projector, search, scrape, density, agents)
}
REPORT = "report"
MINUTES = 38.0


def main() -> int:
    """Runs the pieces one after another; a contender that fails is told, and the others still run."""
    options = _options()
    if options.pieces == [REPORT]:
        renew(options.results)
        return 0
    turns = Turns(QUICK if options.quick else FULL, None if options.quick else options.results, options.minutes)
    for name in options.pieces or list(PIECES):
        began = time.monotonic()
        print(f"{name}:", flush=True)
        PIECES[name](turns)
        print(f"  {name} took {time.monotonic() - began:.0f} s", flush=True)
    if not options.quick:
        renew(options.results)
    for what, labels in (("failed", turns.failed), ("left out, the time was over; run it again", turns.late)):
        for label in dict.fromkeys(labels):
            print(f"{what}: {label}")
    return 1 if turns.failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("pieces", nargs="*", metavar="piece", help=f"{', '.join(PIECES)} (all when none is named)")
    parser.add_argument("--quick", action="store_true", help="does every program work? No figures are kept")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="no measurement is begun that would end later")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where figures are kept between runs of pieces")
    options = parser.parse_args()
    unknown = set(options.pieces) - set(PIECES)
    if unknown and options.pieces != [REPORT]:
        parser.error(f"no such piece: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())
