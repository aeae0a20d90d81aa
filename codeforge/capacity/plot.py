"""A run as an SVG: tasks that wait and run, and the slots that are ready, over time."""

from collections.abc import Callable, Mapping
from xml.sax.saxutils import escape

from codeforge.capacity.simulation import Outcome, Sample

WIDTH, HEIGHT = 760, 240
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 40, 40
TICKS = 4

LINES: dict[str, tuple[str, Callable[[Sample], int]]] = {
    "waiting": ("#c0392b", lambda sample: sample.queued),
    "running": ("#2471a3", lambda sample: sample.running),
    "slots ready": ("#7d8a94", lambda sample: sample.slots),
}


def svg(outcomes: Mapping[str, Outcome]) -> str:
    """One panel for each outcome, below each other: the same scale of time, each its own of tasks."""
    end_s = max(outcome.length_s for outcome in outcomes.values())
    panels = [
        _panel(title, outcome, number * HEIGHT, end_s) for number, (title, outcome) in enumerate(outcomes.items())
    ]
    size = f'width="{WIDTH}" height="{HEIGHT * len(panels)}" viewBox="0 0 {WIDTH} {HEIGHT * len(panels)}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *panels, "</svg>", ""])


def _panel(title: str, outcome: Outcome, top: int, end_s: float) -> str:
    across, up = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    base = top + TOP + up
    most = TICKS * _round_step(max(line(sample) for sample in outcome.samples for _, line in LINES.values()) / TICKS)

    def point(at_s: float, count: float) -> str:
        return f"{LEFT + at_s / end_s * across:.1f},{base - count / most * up:.1f}"

    parts = [f'<text x="{LEFT}" y="{top + 18}" font-weight="bold">{escape(title)}</text>']
    for tick in range(TICKS + 1):
        height, moment = base - up * tick / TICKS, LEFT + across * tick / TICKS
        parts.append(f'<path d="M{LEFT},{height:.1f}H{WIDTH - RIGHT}" stroke="#e5e8ea"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{most * tick / TICKS:,.0f}</text>')
        parts.append(
            f'<text x="{moment:.1f}" y="{base + 18}" text-anchor="middle">{_time(end_s * tick / TICKS, end_s)}</text>'
        )
    for number, (name, (colour, line)) in enumerate(LINES.items()):
        points = " ".join(point(sample.at_s, line(sample)) for sample in outcome.samples)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(
            f'<text x="{WIDTH - RIGHT - 90 * (3 - number) + 90}" y="{top + 18}" text-anchor="end" '
            f'fill="{colour}">{name}</text>'
        )
    return "\n".join(parts)


def _round_step(least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, ... that is not below it."""
    decade = 1
    while True:
        for step in (decade, 2 * decade, 5 * decade):
            if step >= least:
                return step
        decade *= 10


def _time(moment_s: float, end_s: float) -> str:
    return f"{moment_s / 3600:.1f} h" if end_s > 7200 else f"{moment_s / 60:.1f} min"
