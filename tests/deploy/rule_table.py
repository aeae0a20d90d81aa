"""The table of docs/howto/checks.md, made from the rules and what they catch: `python -m tests.deploy.rule_table`."""

import inspect
import json
from typing import Any

from tests.deploy.breaks import BREAKS, RULES
from tests.deploy.broken import Break, Rule
from tests.deploy.facts import ROOT
from tests.deploy.manifests import title

PAGE = ROOT / "docs" / "howto" / "checks.md"
BEGIN, END = "<!-- made by tests/deploy/rule_table.py -->", "<!-- end -->"
MAX_VALUE = 60


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + '...'}`" if text else "empty"


def described(broken: Break) -> str:
    """What was done to the manifest, and what the rule says of it."""
    path = broken.path.replace("spec.template.spec.", "pod.").replace("containers.0.", "container.")
    if not path:
        change = "added " + ", ".join(f"`{title(resource)}`" for resource in broken.value)
    elif broken.value is None:
        change = f"`{broken.name}` without `{path}`"
    else:
        change = f"`{broken.name}`: `{path}` is {_value(broken.value)}"
    return f"{change}: *{broken.said}*"


def row(rule: Rule) -> str:
    """A rule, what it demands, and every broken manifest that a test has seen it catch."""
    caught = "<br>".join(described(broken) for broken in BREAKS if broken.rule is rule)
    module = rule.__module__.rpartition(".")[2]
    return f"| `{module}.{rule.__name__}` | {_cell(inspect.getdoc(rule) or '')} | {_cell(caught)} |"


def table() -> str:
    """All rules, in the order in which they run."""
    return "\n".join(["| rule | demands | catches |", "|---|---|---|", *map(row, RULES)])


def page() -> str:
    """The page with the table of today."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
