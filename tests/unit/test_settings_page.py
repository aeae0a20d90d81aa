"""The page of all settings is complete, and so is what it lists: each setting is described, and read by something."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeforge.settings import Settings
from tests.settings_page import PAGE, READERS, classes, described, own, page

ROOT = Path(__file__).parents[2]
NAMED_BY_THE_CONTRACT = {"phase", "federation_enabled"}
"""Read and checked, for deployments set them; nothing depends on them yet."""


def test_the_page_is_the_one_that_is_made() -> None:
    """`python -m tests.settings_page` makes it."""
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("kind", classes(), ids=lambda kind: kind.__name__)
def test_every_setting_says_what_it_is(kind: type) -> None:
    assert set(described(kind)) >= set(own(kind))


def test_every_setting_is_in_one_class() -> None:
    assert sorted(name for kind in classes() for name in own(kind)) == sorted(Settings.model_fields)


def test_the_readers_are_those_of_settings() -> None:
    assert set(READERS) <= {kind.__name__ for kind in classes()} | set(Settings.model_fields)


def test_every_setting_is_read() -> None:
    read = {
        name for package in ("codeforge", "workers") for path in (ROOT / package).rglob("*.py") for name in _read(path)
    }
    assert set(Settings.model_fields) - read == NAMED_BY_THE_CONTRACT


def _read(path: Path) -> Iterator[str]:
    """Attributes that are taken of something called settings, or in the settings themselves of self."""
    owners = {"settings", "_settings", "given"} | ({"self"} if path.parent.name == "settings" else set())
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            of = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if of in owners:
                yield node.attr
