"""What a change of files looks like as a unified diff."""

import difflib
import re
from collections.abc import Mapping

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_NO_NEWLINE = "\\ No newline at end of file\n"


def unified_diff(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """How `before` becomes `before` with `after` laid over it: one unified diff that `git apply` takes, files in
    order of their names. Files that do not change are left out."""
    parts: list[str] = []
    for path in sorted(after):
        old, new = before.get(path), after[path]
        if old == new:
            continue
        origin = "/dev/null" if old is None else f"a/{path}"
        lines = difflib.unified_diff(_LINE.findall(old or ""), _LINE.findall(new), origin, f"b/{path}")
        for line in lines:
            parts.append(line)
            if not line.endswith("\n"):
                parts.append("\n" + _NO_NEWLINE)
    return "".join(parts)
