"""The page's plot: a panel of horizontal bars for each of some figures, as SVG text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from bench import agents, density, empty, exposition, frontdoor, projector, scrape
from bench.figures import Figure, Piece
from bench.tables import got_through

WIDTH, LEFT, RIGHT = 860, 250, 130
BAR, GAP, HEAD = 16, 8, 40
OURS, OTHERS = "#2471a3", "#7d8a94"


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure of all contenders of a piece."""

    piece: str
    figure: str
    title: str
    digits: int = 0


PANELS: Sequence[Panel] = (
    Panel(frontdoor.NAME, "tasks_per_s", "Front door: tasks/s"),
    Panel(exposition.NAME, "p50_ms", "A scrape of the API: ms", 1),
    Panel(agents.NAME, "over_ideal", "Agents in flight: time to the ideal", 2),
    Panel(density.NAME, "kb_per_agent", "Agents that wait: kB of worker memory each"),
    Panel(empty.NAME, "per_s", "Empty tasks/s"),
    Panel(projector.NAME, "per_s", "Results/s into both stores"),
    Panel(scrape.NAME, "seconds", "200 pages over ten hosts: seconds", 1),
)


def svg(pieces: Mapping[str, Piece]) -> str:
    """The panels of the pieces that were measured, below each other. A thin line is the spread."""
    parts: list[str] = []
    top = 0
    for panel in PANELS:
        if panel.piece not in pieces:
            continue
        piece = pieces[panel.piece]
        found = {name: piece.get(name, panel.figure) for name in piece.figures if got_through(piece, name)}
        bars = {name: figure for name, figure in found.items() if figure is not None}
        parts.append(_panel(panel, bars, top))
        top += HEAD + len(bars) * (BAR + GAP)
    size = f'width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>", ""])


def _panel(panel: Panel, bars: Mapping[str, Figure], top: int) -> str:
    most = max((max(figure.values) for figure in bars.values()), default=1.0)
    across = (WIDTH - LEFT - RIGHT) / most
    parts = [f'<text x="{LEFT}" y="{top + 24}" font-weight="bold">{escape(panel.title)}</text>']
    for number, (name, figure) in enumerate(bars.items()):
        y = top + HEAD + number * (BAR + GAP)
        middle = y + BAR / 2
        colour = OURS if name.startswith("CodeForge") else OTHERS
        least, greatest = (LEFT + bound(figure.values) * across for bound in (min, max))
        parts += [
            f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{figure.median * across:.1f}" height="{BAR}" fill="{colour}"/>',
            f'<path d="M{least:.1f},{middle}H{greatest:.1f}" stroke="black"/>',
            f'<text x="{greatest + 6:.1f}" y="{y + 12}">{figure.median:,.{panel.digits}f}</text>',
        ]
    return "\n".join(parts)
