"""Becomes a child's command, after asking the kernel to kill that child should the supervisor die.

Run as a script with the bare interpreter (`python -I -S launcher.py <supervisor's pid> <command...>`): it imports
nothing of the project and costs some milliseconds. The setting survives the exec (prctl(2), PR_SET_PDEATHSIG), so the
command keeps this process's pid. The alternative, a function between fork and exec, can deadlock beside threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def become(supervisor: int, command: list[str]) -> None:
    """Replaces this process by `command`; ends it instead when the supervisor has gone already."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != supervisor:
        sys.exit("the supervisor has gone")
    try:
        os.execvp(command[0], command)  # noqa: S606  # the supervisor's own command, no shell wanted
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
