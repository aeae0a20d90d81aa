"""Contenders in turns, within the time that a run has; what was measured before is not measured again."""

import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.figures import Piece, load, save, source_state
from bench.machine import describe
from bench.scale import Scale

Measure = Callable[[], Mapping[str, float]]


class Turns:
    """One run of pieces. `folder` keeps the figures after each measurement (None: nothing is kept); no measurement is
    begun that would end after `minutes`, judged by how long it took before."""

    def __init__(self, scale: Scale, folder: Path | None, minutes: float) -> None:
        self.scale = scale
        self.failed: list[str] = []
        self.late: list[str] = []
        self._folder = folder
        self._until = time.monotonic() + minutes * 60
        self._took: dict[str, float] = {}
        self._source = source_state()

    def piece(self, name: str) -> Piece:
        """The piece as far as it was measured on this state of the code."""
        known = load(self._folder, name) if self._folder is not None else None
        if known is None or known.source != self._source:
            known = Piece(name, describe(), self._source)
        return known

    def complete(self, piece: Piece, contenders: Mapping[str, int]) -> bool:
        """Whether each contender has as many rounds as it should; setting up can then be saved."""
        return all(piece.rounds(contender) >= rounds for contender, rounds in contenders.items())

    def take(self, piece: Piece, rounds: Mapping[str, int], contenders: Mapping[str, Measure]) -> None:
        """Every contender once a round, so that whatever else the machine does meets all of them. One that fails is
        told, and left out from then on; the others go on."""
        broken: set[str] = set()
        for number in range(1, max(rounds.values(), default=0) + 1):
            for contender, measure in contenders.items():
                if contender in broken or not piece.rounds(contender) < number <= rounds[contender]:
                    continue
                if not self._measured(piece, f"{number}/{rounds[contender]}", contender, measure):
                    broken.add(contender)

    def _measured(self, piece: Piece, turn: str, contender: str, measure: Measure) -> bool:
        label = f"{piece.name}: {contender}"
        began = time.monotonic()
        if began + self._took.get(label, 0.0) > self._until:
            self.late.append(label)
            return False
        try:
            values = measure()
        except Exception as error:  # the figures of the others are worth having
            self.failed.append(label)
            traceback.print_exc(limit=-4)
            print(f"  {label} failed: {error!r}", flush=True)
            return False
        self._took[label] = time.monotonic() - began
        piece.add(contender, **values)
        if self._folder is not None:
            save(self._folder, piece)
        shown = ", ".join(f"{name} {value:,.5g}" for name, value in values.items())
        print(f"  {piece.name} {turn} {contender}: {shown}  [{self._took[label]:.0f} s]", flush=True)
        return True
