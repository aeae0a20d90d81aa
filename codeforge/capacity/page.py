"""A page whose figures a command makes: what stands between the markers is replaced by what the command prints.

`<!-- codeforge capacity plan --tasks-per-second 10 -->` ... `<!-- end -->`
"""

import re
import shlex
from collections.abc import Callable, Sequence

_PART = re.compile(
    r"(?P<open><!-- codeforge capacity (?P<arguments>[^\n]*?) -->\n)(?P<body>.*?)(?P<close><!-- end -->)", re.DOTALL
)

Run = Callable[[Sequence[str]], str]


def refreshed(text: str, run: Run) -> str:
    """The page with every part made anew; `run` gets the arguments of the command and answers what it prints."""

    def part(match: re.Match[str]) -> str:
        output = run(shlex.split(match["arguments"])).rstrip()
        return f"{match['open']}```text\n{output}\n```\n{match['close']}"

    return _PART.sub(part, text)


def commands(text: str) -> list[list[str]]:
    """The arguments of each part."""
    return [shlex.split(match["arguments"]) for match in _PART.finditer(text)]
