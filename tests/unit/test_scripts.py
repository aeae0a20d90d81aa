"""The ledger's scripts in their package."""

from collections.abc import Iterator

import pytest
from redis.asyncio import Redis

from codeforge.ledger import scripts


@pytest.fixture(autouse=True)
def unread() -> Iterator[None]:
    """As in a new process."""
    for each in (scripts.sources, scripts.script_text):
        each.cache_clear()
    yield
    for each in (scripts.sources, scripts.script_text):
        each.cache_clear()


def test_scripts_are_those_of_the_version_that_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation may be replaced under processes that run."""

    def replaced(package: str) -> None:
        raise AssertionError(f"{package} was read again")

    scripts.Scripts(Redis())
    monkeypatch.setattr(scripts, "files", replaced)
    for name in ("settle", "cancel"):
        assert scripts.script_text(name)
