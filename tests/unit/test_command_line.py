"""The `codeforge` command: what it says of itself, and how it ends."""

import pytest
from click.testing import CliRunner

from codeforge import __version__
from codeforge.cli.main import main


@pytest.mark.parametrize("words", [["version"], ["--version"]])
def test_version(words: list[str]) -> None:
    said = CliRunner().invoke(main, words)
    assert (said.exit_code, said.output) == (0, f"codeforge {__version__}\n")


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_tells_what_it_does_and_takes_no_other_word(name: str) -> None:
    said = CliRunner().invoke(main, [name, "--help"])
    assert (said.exit_code, f"Usage: main {name}" in said.output) == (0, True)
    assert CliRunner().invoke(main, [name, "--no-such-option"]).exit_code == 2
