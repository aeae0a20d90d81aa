"""How the benchmark of agents ends."""

from bench import agents


class Crew:
    """Stands still once so many are done."""

    workers: tuple[str, ...] = ()

    def __init__(self, done: int) -> None:
        self._done = done

    def submit(self, count: int) -> None:
        """Nothing to do."""

    def done(self, submitted: int) -> int:
        """How many are."""
        return self._done


class Watch:
    """Sees nothing."""

    def look(self) -> None:
        """Nothing to see."""


def test_contender_that_does_not_get_through_keeps_what_it_did() -> None:
    done, seconds = agents._finished(Crew(2), 10, Watch(), 0.05)  # type: ignore[arg-type]
    assert done == 2
    assert seconds >= agents.FAIR * 0.05


def test_contender_that_is_through_is_not_waited_for() -> None:
    done, seconds = agents._finished(Crew(5), 5, Watch(), 60.0)  # type: ignore[arg-type]
    assert done == 5
    assert seconds < 60.0
