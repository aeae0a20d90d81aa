"""How much memory this process holds, and may hold."""

import os
import resource
from pathlib import Path

_STATM = Path("/proc/self/statm")


def resident_bytes() -> int | None:
    """Resident memory of this process (second field of proc_pid_statm(5)); None where the system does not tell."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def limit_growth(more: int) -> None:
    """From now on an allocation fails that would give this process `more` bytes of data and stacks beyond what it has
    (RLIMIT_DATA of setrlimit(2), which counts private writable memory whether it is touched or not). Nothing where the
    system does not tell how much that is."""
    try:
        pages = int(_STATM.read_text().split()[5])
    except OSError:
        return
    most = pages * os.sysconf("SC_PAGE_SIZE") + more
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
