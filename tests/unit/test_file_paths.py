"""Paths of files inside a project."""

import re

import pytest
from pydantic import ValidationError

from codeforge.file_paths import PATH_PATTERN, checked_path
from codeforge.inputs import CodingInput

OF_REAL_PROJECTS = (
    "a.py", ".gitignore", ".github/workflows/x.yml", "my file.txt", "app/[id].tsx", "app/(shop)/[...slug]/page.tsx",
    "routes/$id.tsx", "+page.svelte", "@types/x.d.ts", "src/größe.py", "docs/~old, & new!.md", "x" * 255,
)  # fmt: skip
NOT_OF_A_PROJECT = (
    "", "  ", ".", "/etc/passwd", " /etc/passwd", "~/x", "../x", "a/../../x", "a/..", "a\\b", "C:/x", "a\0b", "a\nb",
    "a\x7f", "a\u202egpj.py", "a\u2028b", "a/", "a/ ", "x" * 256, ".git/hooks/pre-commit", "a/.GIT /config", ".git",
)  # fmt: skip


def test_relative_paths_are_made_plain() -> None:
    assert checked_path("./src//a.py") == "src/a.py"


@pytest.mark.parametrize("path", OF_REAL_PROJECTS)
def test_what_real_projects_have_is_taken_from_clients_and_models_alike(path: str) -> None:
    assert checked_path(path) == path
    assert re.fullmatch(PATH_PATTERN, path)
    assert CodingInput(prompt="x", files={path: ""}).files == {path: ""}


@pytest.mark.parametrize("path", NOT_OF_A_PROJECT)
def test_paths_that_leave_the_project_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|absolute|inside"):
        checked_path(path)
    with pytest.raises(ValidationError):
        CodingInput(prompt="x", files={path: ""})


@pytest.mark.parametrize("path", ["../x", "a/../x", "a/..", "/x", "a\\b", 'a"b', "a\nb", "a/", "."])
def test_a_grammar_writes_no_path_that_would_have_to_be_asked_for_again(path: str) -> None:
    assert re.fullmatch(PATH_PATTERN, path) is None


def test_the_pattern_has_no_escape_outside_of_a_class() -> None:
    """llama.cpp's grammars refuse one there, and its server ends."""
    assert "\\" not in re.sub(r"\[[^]]*\]", "", PATH_PATTERN)
