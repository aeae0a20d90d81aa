"""What this process dials, seen from the socket: every connect and every question to the name service.

Python tells of both by audit events (PEP 578) before the system call is made, whichever library asks. A hook cannot be
taken out again, so there is one, which writes to whoever records.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Dials:
    """`connects` are the addresses of sockets, `names` the hosts that were looked up."""

    connects: list[tuple[str, int]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


_recording: list[Dials] = []
_hooked: list[bool] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not _recording:
        return
    if event == "socket.connect" and isinstance(args[1], tuple):
        _recording[-1].connects.append((str(args[1][0]), int(args[1][1])))
    elif event == "socket.getaddrinfo":
        _recording[-1].names.append(str(args[0]))


@contextmanager
def recorded() -> Iterator[Dials]:
    """All dials of the process until the context is left."""
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked.append(True)
    dials = Dials()
    _recording.append(dials)
    try:
        yield dials
    finally:
        _recording.remove(dials)
