"""What the supervisor starts: a command, and how to tell that it is ready."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One child of the supervisor.

    `ready` answers whether the process serves now; it is polled, must return within a second and may raise OSError
    for "not yet". `env` is added to a minimal environment. `cwd` exists before the start.
    """

    name: str
    argv: tuple[str, ...]
    ready: Callable[[], Awaitable[bool]]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
