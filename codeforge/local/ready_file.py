"""The `--ready-file`: addresses, passwords and process ids of a running stack, for programs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from codeforge.local.data_dir import write_private


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the parts of a stack listen. The passwords are in here: the file and its owner only."""

    api: str
    flower: str
    flower_user: str
    flower_password: str
    redis: str
    bolt: str
    bolt_user: str
    bolt_password: str
    qdrant: str

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Addresses(api={self.api!r}, flower={self.flower!r})"


def write_ready_file(path: Path, addresses: Addresses, pids: Mapping[str, int]) -> None:
    """Writes the file in one step. `pids` maps each child's name to its process id."""
    document = {**asdict(addresses), "pids": dict(pids)}
    write_private(path, orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")
