"""Puts the figures into docs/performance.md, between its markers, and the plot beside it."""

from pathlib import Path

from bench import goals, plot, tables
from bench.figures import ROOT, load, source_state

PAGE = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "performance.svg"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def renew(folder: Path) -> None:
    """Renders what was measured so far. Raises ValueError for a page without markers."""
    found = {name: piece for name in tables.TABLES if (piece := load(folder, name)) is not None}
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no {BEGIN} or no {END}")
    parts = [goals.markdown(found), f"![The figures as bars]({PLOT.name})", *map(tables.markdown, found.values())]
    older = sorted(name for name, piece in found.items() if piece.source != source_state())
    if older:
        parts.append(f"Measured on an earlier state of the code: {', '.join(older)}.")
    middle = "\n\n".join(["", *parts, ""])
    PAGE.write_text(f"{before}{begin}{middle}{end}{after}", encoding="utf-8")
    PLOT.write_text(plot.svg(found), encoding="utf-8")
    print(f"renewed {PAGE.relative_to(ROOT)}")
