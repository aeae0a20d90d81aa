"""Changed files: which paths a model may write, and what the change looks like as a unified diff."""

import difflib
import re
from collections.abc import Mapping

MAX_PATH = 255

# A path that a grammar can hold a model to; `checked_path` decides.
PATH_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$"

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_NO_NEWLINE = "\\ No newline at end of file\n"


def checked_path(path: str) -> str:
    """The path in its plain form (`./a//b` is `a/b`). Raises ValueError, in words for a model, for one that is empty,
    absolute, too long, of another system, or leaves the project's directory."""
    shown = path[:80]
    if not path.strip() or len(path) > MAX_PATH or any(ord(char) < 32 or char in '\\:*?"<>|' for char in path):
        raise ValueError(f"{shown!r} is not a usable path; use a relative one such as src/name.py")
    if path.startswith(("/", "~")):
        raise ValueError(f"{shown!r} is absolute; use a path relative to the project")
    parts = [part for part in path.strip().split("/") if part not in ("", ".")]
    if not parts or ".." in parts or path.endswith("/"):
        raise ValueError(f"{shown!r} does not name a file inside the project")
    return "/".join(parts)


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
