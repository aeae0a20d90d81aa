"""How much memory this process holds, and may hold, and how often it looks for garbage."""

import gc
import os
import resource
from pathlib import Path

_STATM = Path("/proc/self/statm")

GARBAGE_EVERY = 20_000
"""Objects made and still held between two looks for garbage in cycles. Python's own number is 700."""

OLDER_EVERY = 5
"""Every so many looks go on to what survived one, and so many of those to all: garbage waits for 500,000 objects."""


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


def collect_seldom() -> None:
    """To be called once all is imported. Looking for garbage took 18 % of the processor time of a worker with many
    small tasks: hundreds of attempts are young at the same time, and each full look goes through all that the imports
    left, which is never freed and is left out from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_EVERY, OLDER_EVERY, OLDER_EVERY)
