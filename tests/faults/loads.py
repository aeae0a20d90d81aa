"""What is submitted while things break."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Load:
    """How many tasks, the longest model call in seconds, how often a fault is injected, and the shortest call."""

    tasks: int
    longest_s: float
    faults: int
    shortest_s: float = 0.1


def debates(count: int) -> list[dict[str, Any]]:
    """Tasks of four model calls each, two of them at once."""
    return [
        {"type": "debate", "input": {"question": f"Question {n}?", "positions": ["yes", "no"], "rounds": 1}}
        for n in range(count)
    ]


def poison(deed: str) -> dict[str, Any]:
    """A task that does this; see `Poison`."""
    return {"type": "scrape", "input": {"urls": [f"http://127.0.0.1/{deed}"]}, "timeout_s": 20}
