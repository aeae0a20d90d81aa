"""The host gate without a server, for unit tests: it knows of one process only."""

import math
import time
from dataclasses import dataclass, field

from codeforge.web.hosts import ANSWERED_WELL


@dataclass
class _Host:
    inside: dict[str, float] = field(default_factory=dict)
    paused_until: float = 0.0
    due: float = 0.0
    troubles: int = 0


class MemoryHosts:
    """`HostGate` in memory. `most_inside` is how many were ever at each host at once."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}
        self.most_inside: dict[str, int] = {}

    async def enter(self, host: str, visit: str, *, most: int, every_ms: int, burst: int, lease_ms: int) -> int:
        """See `HostGate.enter`."""
        at, now = self._hosts.setdefault(host, _Host()), time.monotonic() * 1_000
        at.inside = {name: until for name, until in at.inside.items() if until > now}
        if visit not in at.inside:
            if at.paused_until > now:
                return math.ceil(at.paused_until - now)
            early = at.due - (burst - 1) * every_ms - now
            if every_ms and early > 0:
                return math.ceil(early)
            if most and len(at.inside) >= most:
                return -1
            if every_ms:
                at.due = max(at.due, now) + every_ms
        at.inside[visit] = now + lease_ms
        self.most_inside[host] = max(self.most_inside.get(host, 0), len(at.inside))
        return 0

    async def leave(self, host: str, visit: str, *, asked_ms: int, first_ms: int, longest_ms: int) -> int:
        """See `HostGate.leave`."""
        at, now = self._hosts.setdefault(host, _Host()), time.monotonic() * 1_000
        at.inside.pop(visit, None)
        if asked_ms < 0:
            at.troubles = 0 if asked_ms == ANSWERED_WELL else at.troubles
            return 0
        asked = float(asked_ms)
        if at.paused_until <= now:
            at.troubles += 1
            asked = max(asked, first_ms * 2.0 ** min(at.troubles - 1, 20))
        at.paused_until = max(at.paused_until, now + min(asked, longest_ms))
        return math.ceil(at.paused_until - now)

    async def close(self) -> None:
        """Nothing to close."""
