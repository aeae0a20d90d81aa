"""What a crashed stack left running: children are noted with their start times, and found again by both.

A pid alone proves nothing, since the system gives it to another process in time. Pid and start time together name one
process for as long as the machine is up; the boot's id tells one boot from another.
"""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import orjson
import psutil

from codeforge.local.data_dir import write_private

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
POLL_S = 0.02


def identity(pid: int) -> str | None:
    """What distinguishes the running process `pid` from any other that ever had that pid; None when there is none."""
    try:
        # Fields after the command's name, which may hold blanks and brackets; the 22nd of all is the start time in
        # ticks since the boot (proc_pid_stat(5)). psutil's own start time moves when the clock is set.
        ticks = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
        return f"{BOOT_ID.read_text(encoding='ascii').strip()}/{ticks}"
    except (FileNotFoundError, ProcessLookupError):
        pass  # no such process, or no /proc on this system
    if BOOT_ID.exists():
        return None
    try:
        return f"{psutil.Process(pid).create_time():.2f}"
    except psutil.NoSuchProcess:
        return None


def note_children(path: Path, pids: Mapping[str, int]) -> None:
    """Writes down which children run: name -> pid."""
    rows = [{"name": name, "pid": pid, "identity": identity(pid)} for name, pid in sorted(pids.items())]
    write_private(path, orjson.dumps(rows).decode())


def kill_leftovers(path: Path, *, within_s: float = 5.0) -> list[str]:
    """Kills the noted children that still run, each with its process group, and waits until they are gone.

    Returns their names. Engines are killed too: they recover from their own logs. Only the holder of the data
    directory's lock may call this.
    """
    if not path.exists():
        return []
    rows = orjson.loads(path.read_bytes())
    alive = [row for row in rows if _running(row["pid"], row["identity"])]
    for row in alive:
        try:
            os.killpg(row["pid"], signal.SIGKILL)
        except ProcessLookupError:
            continue  # it ended by itself in the meantime
    deadline = time.monotonic() + within_s
    while any(_running(row["pid"], row["identity"]) for row in alive) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    path.unlink()
    return [row["name"] for row in alive]


def _running(pid: int, expected: str | None) -> bool:
    """Whether the process is there and has not ended yet: a zombie only waits for its parent."""
    if expected is None:
        return False
    try:
        return identity(pid) == expected and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
