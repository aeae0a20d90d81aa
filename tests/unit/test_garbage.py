import gc
import weakref
from collections.abc import Iterator

import pytest

from codeforge.garbage import GARBAGE_EVERY, collect_seldom


class Knot:
    """Garbage that only a look for cycles finds."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def collector() -> Iterator[None]:
    usual = gc.get_threshold()
    yield
    gc.set_threshold(*usual)
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_what_the_imports_left_is_looked_at_no_more() -> None:
    collect_seldom()
    assert gc.get_freeze_count() > 10 * len(gc.get_objects())


@pytest.mark.usefixtures("collector")
def test_garbage_in_cycles_is_found_late_and_found() -> None:
    collect_seldom()
    knot = weakref.ref(Knot())
    held: list[list[int]] = [[] for _ in range(GARBAGE_EVERY // 2)]
    assert knot() is not None
    held += [[] for _ in range(GARBAGE_EVERY)]
    assert knot() is None
