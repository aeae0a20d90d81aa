"""Measured numbers: several runs of each, their median and spread, kept as JSON between runs of single pieces."""

import hashlib
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "performance"
MEASURED = ("codeforge", "workers", "bench", "requirements")
PAGE = {"goals.py", "plot.py", "report.py", "tables.py"}
"""What a figure depends on, and what of it only shows figures."""

Figures = dict[str, dict[str, list[float]]]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number over several runs."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def text(self, digits: int = 0) -> str:
        """`median (least to greatest)`."""
        if len(self.values) == 1:
            return f"{self.median:,.{digits}f}"
        return f"{self.median:,.{digits}f} ({min(self.values):,.{digits}f} to {max(self.values):,.{digits}f})"


def empty_figures() -> Figures:
    """No contender yet."""
    return defaultdict(lambda: defaultdict(list))


@dataclass
class Piece:
    """The figures of one piece: contender -> name of the figure -> values in the order of the rounds. `machine` is the
    one that they are of, `source` the state of the code."""

    name: str
    machine: str = ""
    source: str = ""
    figures: Figures = field(default_factory=empty_figures)
    notes: dict[str, str] = field(default_factory=dict)

    def add(self, contender: str, **values: float) -> None:
        """One run's numbers."""
        for name, value in values.items():
            self.figures[contender][name].append(float(value))

    def rounds(self, contender: str) -> int:
        """How often it was measured."""
        return max((len(values) for values in self.figures.get(contender, {}).values()), default=0)

    def get(self, contender: str, name: str) -> Figure | None:
        """None where it was not measured."""
        values = self.figures.get(contender, {}).get(name)
        return Figure(tuple(values)) if values else None

    def ratio(self, contender: str, base: str, name: str) -> Figure | None:
        """The contender's number through the base's, round by round."""
        top, bottom = self.get(contender, name), self.get(base, name)
        if top is None or bottom is None:
            return None
        return Figure(tuple(a / b for a, b in zip(top.values, bottom.values, strict=False)))


def source_state() -> str:
    """A hash of everything that a figure depends on: figures of different code are never mixed."""
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(path.relative_to(ROOT).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _sources() -> Iterable[Path]:
    kinds = {".py", ".lua", ".txt"}
    found = sorted(path for folder in MEASURED for path in (ROOT / folder).rglob("*") if path.suffix in kinds)
    return [path for path in found if path.parent.name != "bench" or path.name not in PAGE]


def load(folder: Path, name: str) -> Piece | None:
    """A piece as it was measured so far, by whatever code; None when it was not."""
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    kept = json.loads(path.read_text())
    piece = Piece(name, kept["machine"], kept["source"], notes=kept["notes"])
    for contender, figures in kept["figures"].items():
        for figure, values in figures.items():
            piece.figures[contender][figure] = values
    return piece


def save(folder: Path, piece: Piece) -> None:
    """Keeps it for later runs and for the page."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {"machine": piece.machine, "source": piece.source, "notes": piece.notes, "figures": piece.figures}
    part = folder / f"{piece.name}.json.part"
    part.write_text(json.dumps(kept, indent=1) + "\n")
    part.replace(folder / f"{piece.name}.json")
