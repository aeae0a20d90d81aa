"""Paths of files inside a project that a task works on."""

MAX_PATH = 255


def checked_path(path: str) -> str:
    """The path in its plain form (`./a//b` is `a/b`). Raises ValueError, in words for whoever wrote it, for one that is
    empty, absolute, too long, of another system, or leaves the project's directory."""
    shown = path[:80]
    if not path.strip() or len(path) > MAX_PATH or any(ord(char) < 32 or char in '\\:*?"<>|' for char in path):
        raise ValueError(f"{shown!r} is not a usable path; use a relative one such as src/name.py")
    if path.startswith(("/", "~")):
        raise ValueError(f"{shown!r} is absolute; use a path relative to the project")
    parts = [part for part in path.strip().split("/") if part not in ("", ".")]
    if not parts or ".." in parts or path.endswith("/"):
        raise ValueError(f"{shown!r} does not name a file inside the project")
    return "/".join(parts)
