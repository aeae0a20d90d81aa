"""Paths of files inside a project: one rule for what clients send and what a model writes."""

MAX_PATH = 255

_FIRST = r'[^./\\:*?"<>|\x00-\x1f\x7f]'
_LATER = r'[^/\\:*?"<>|\x00-\x1f\x7f]'
_NAME = rf"[.]?{_FIRST}{_LATER}*"
PATH_PATTERN = rf"^{_NAME}(/{_NAME})*$"
"""What a grammar can hold a model to, so that it needs no second try; `checked_path` decides. JSON has each of these
characters as it is, no grammar has to look ahead, and llama.cpp's know no escape of a dot: it ends by SIGSEGV."""


def checked_path(path: str) -> str:
    """The path in its plain form (`./a//b` is `a/b`). Raises ValueError, in words for whoever wrote it, for one that is
    empty, absolute, too long, of another system, or leaves the project's directory; and for one inside `.git`, whose
    hooks run what is in them."""
    shown = path[:80]
    plain = path.strip()
    if not plain or len(path) > MAX_PATH or not path.isprintable() or any(char in '\\:*?"<>|' for char in path):
        raise ValueError(f"{shown!r} is not a usable path; use a relative one such as src/name.py")
    if plain.startswith(("/", "~")):
        raise ValueError(f"{shown!r} is absolute; use a path relative to the project")
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or plain.endswith("/"):
        raise ValueError(f"{shown!r} does not name a file inside the project")
    if any(part.lower().rstrip(" .") == ".git" for part in parts):  # as file systems that fold names would have it
        raise ValueError(f"{shown!r} is inside .git, which is not a part of the project")
    return "/".join(parts)
