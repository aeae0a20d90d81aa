"""What `codeforge up` was asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class UpOptions:
    """`ports` holds the chosen ports by the names of `PORT_OPTIONS` (0: any free one; absent: the default).

    `overrides` are the `--set` settings, names without the prefix. `workers` is `each` (a process for each worker
    type) or `general` (one for all types).
    """

    data_dir: Path
    ports: Mapping[str, int] = field(default_factory=dict)
    ready_file: Path | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    workers: Literal["each", "general"] = "general"
    llm: Literal["none", "local"] = "none"
