"""Diffs that apply."""

import subprocess
from pathlib import Path

import pytest

from workers.changes import unified_diff


def test_an_unchanged_file_is_in_no_diff() -> None:
    assert unified_diff({"a": "x\n"}, {"a": "x\n"}) == ""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"new/file.py": "one\ntwo\n"}),
        ({"a.py": "one\ntwo\nthree\n"}, {"a.py": "one\n2\nthree\n"}),
        ({"a.py": "no newline"}, {"a.py": "no newline\nand more"}),
        ({"a.py": "ends\n"}, {"a.py": "ends"}),
        ({"a.py": "x\x0cy\u2028z\r\n1\n"}, {"a.py": "x\x0cy\u2028z\r\n2\n"}),
        ({"a b [id].py": "1\n"}, {"a b [id].py": "2\n", "(ü)/$x y.py": "1\n"}),
        ({"b.py": "1\n", "a.py": "1\n"}, {"b.py": "2\n", "a.py": "2\n", "c.py": "3\n"}),
    ],
)
def test_git_applies_the_diff(tmp_path: Path, before: dict[str, str], after: dict[str, str]) -> None:
    for name, text in before.items():
        (tmp_path / name).write_bytes(text.encode())

    subprocess.run(
        ["git", "apply", "--whitespace=nowarn", "-"],
        cwd=tmp_path,
        input=unified_diff(before, after).encode(),
        check=True,
    )

    assert {name: (tmp_path / name).read_bytes().decode() for name in after} == after
