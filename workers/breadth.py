"""How much an analysis looks into."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Breadth:
    """How far a `depth` goes. `hits` are of one round, `chars` are those of all passages that are shown."""

    rounds: int
    questions: int
    hits: int
    chars: int

    @classmethod
    def of(cls, depth: int) -> "Breadth":
        """Of a depth from 1 to 5."""
        return cls(rounds=(depth + 2) // 2, questions=1 + depth, hits=4 * depth, chars=4_500 * depth)
