"""Paths of files inside a project."""

import pytest

from codeforge.file_paths import checked_path


@pytest.mark.parametrize(
    ("path", "plain"),
    [("a.py", "a.py"), ("./src//a.py", "src/a.py"), (".github/x.yml", ".github/x.yml"), ("my file.txt", "my file.txt")],
)
def test_relative_paths_are_made_plain(path: str, plain: str) -> None:
    assert checked_path(path) == plain


@pytest.mark.parametrize(
    "path",
    ["", "  ", ".", "/etc/passwd", "~/x", "../x", "a/../../x", "a/..", "a\\b", "C:/x", "a\0b", "a\nb", "a/", "x" * 256],
)
def test_paths_that_leave_the_project_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|absolute|inside the project"):
        checked_path(path)
