"""How many connections the front door keeps. A process with no descriptor left answers nobody, and seems dead."""

import resource
from heapq import nsmallest
from typing import Protocol, cast

from uvicorn.server import ServerState

from codeforge.logs import logger

log = logger(__name__)

MAX_CONNECTIONS = 2_000
"""Of clients. An idle one takes 6 kB, one whose headers do not end 64 kB."""

SPARE = 0.1
"""The share beyond the bound that is still told why it is not served; any further connection is just closed."""

OWN_FILES = 512
"""What the process opens itself: its connections to the ledger and the stores, and files."""

IDLE_S = 1.0
"""A connection without a request for longer may go. A new one's request may still be on its way."""

MAKE_ROOM = 0.1
"""The share of all connections that goes at once: those that are idle are looked for among all."""

LOOK_S = 0.1
"""How long nobody looks again when none was idle."""

TOLD_S = 10.0
"""How long it is not logged again that there is no room."""


class Connection(Protocol):
    """A connection, as whoever needs its place sees it."""

    def idle_since(self) -> tuple[bool, float] | None:
        """Whether it ever had a request, and since when it waits for one, in seconds of the loop's clock; None while a
        request is under way."""
        ...

    def leave(self) -> None:
        """Closes it."""
        ...


class LimitedState(ServerState):
    """The server's state, which holds its connections, with a bound for their number."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit, self._most = limit, limit + int(limit * SPARE)
        self._not_before = self._not_told_before = float("-inf")

    def has_room(self, now: float) -> bool:
        """Whether there is room for the connection that has just been added, if need be because idle ones go."""
        return len(self.connections) <= self._limit or self._made_room(now)

    @property
    def overflows(self) -> bool:
        """Whether even those that are only to be told so are too many."""
        return len(self.connections) > self._most

    def _made_room(self, now: float) -> bool:
        """Closes those that are idle: first such as never asked for anything, and of each kind the oldest."""
        if now < self._not_before:
            return False
        connections = cast("set[Connection]", self.connections)
        idle = [
            (*since, id(connection), connection)
            for connection in connections
            if (since := connection.idle_since()) is not None and since[1] < now - IDLE_S
        ]
        for *_, connection in nsmallest(max(1, int(self._limit * MAKE_ROOM)), idle):
            connection.leave()
            connections.discard(connection)  # it is lost a moment later
        if not idle:
            self._not_before = now + LOOK_S
        if now >= self._not_told_before:
            self._not_told_before = now + TOLD_S
            log.warning("connections_full", limit=self._limit, idle=len(idle))
        return bool(idle)


def connection_limit() -> int:
    """How many connections there may be: as many as the process may have files, up to MAX_CONNECTIONS. Raises the
    process's own bound where it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = int(MAX_CONNECTIONS * (1 + SPARE)) + OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MAX_CONNECTIONS
    return max(int((soft - OWN_FILES) / (1 + SPARE)), soft // 4)
