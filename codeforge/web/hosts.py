"""How a host is asked: so many requests at once, so fast, and not while it wants a pause. Over all processes."""

import asyncio
import ipaddress
import random
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Protocol

from codeforge.errors import FetchError, LedgerUnavailable
from codeforge.logs import logger

log = logger(__name__)

NOTHING_SAID: Final = -1
ANSWERED_WELL: Final = -2
_OVERLOADED = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_POLL_S, _LONGEST_POLL_S = 0.02, 0.5
_OUTAGE_S = 1.0


class HostGate(Protocol):
    """Port: places at hosts, which all processes share. A host is `name:port`."""

    async def enter(self, host: str, visit: str, *, most: int, every_ms: int, burst: int, lease_ms: int) -> int:
        """Takes a place for `visit`, a unique name, or renews its lease.

        `most` is how many places there are (0: any number); two requests start `every_ms` apart, but for the first
        `burst` of them (0: no distance). Answers 0 for a place, else in how many ms to ask again, or -1 when all places
        are taken. Raises LedgerUnavailable."""
        ...

    async def leave(self, host: str, visit: str, *, asked_ms: int, first_ms: int, longest_ms: int) -> int:
        """Gives it back. `asked_ms` is the pause that the host asked for: 0 when it has too much to do and did not say
        for how long, -1 when it said nothing, -2 when it answered well. Its own pauses begin with `first_ms` and
        double up to `longest_ms`; answers how long it has now, in ms. Raises LedgerUnavailable."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...


@dataclass(frozen=True, slots=True)
class HostLimits:
    """How a host is asked; times in seconds. `at_once` requests (0: any number), `rate` of them a second after a
    `burst` (0: no rate). `at_once_here` holds instead for loopback addresses, which are nobody else's site; None is no
    difference. A request waits for its turn for up to `wait_s`. The place of a dead process is free after `lease_s`,
    which is longer than any request takes. Pauses of a host that does not say how long it needs begin with `pause_s`;
    none is longer than `longest_pause_s`."""

    at_once: int = 8
    at_once_here: int | None = None
    rate: float = 0.0
    burst: int = 10
    wait_s: float = 3_600.0
    lease_s: float = 60.0
    pause_s: float = 0.5
    longest_pause_s: float = 600.0


@dataclass
class Visit:
    """One request's stay at a host. `answered` tells what came of it."""

    host: str
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    asked_ms: int = NOTHING_SAID

    def answered(self, status: int, retry_after_s: float | None) -> None:
        """A host that answers 429 or 503 gets a pause."""
        overloaded = status in _OVERLOADED
        self.asked_ms = int(1_000 * (retry_after_s or 0.0)) if overloaded else ANSWERED_WELL


@dataclass
class _Line:
    """Those of this process that wait for one host: one of them asks for all, in their order. Where nobody waits,
    whoever comes asks at once, so that what comes up together shares a round trip."""

    waiting: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    members: int = 0


class HostVisits:
    """Visits of one process to all hosts, through the gate that it owns."""

    def __init__(self, gate: HostGate, limits: HostLimits | None = None) -> None:
        self._gate = gate
        self._limits = limits or HostLimits()
        self._lines: dict[str, _Line] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def visit(self, host: str, url: str, *, delay_s: float = 0.0, deadline: float) -> AsyncIterator[Visit]:
        """A place at the host. `delay_s` is the distance between two requests that the host wants, `deadline` the
        `time.monotonic()` after which a place is of no use. Raises FetchError `host_busy`, of the URL given."""
        line = self._lines.setdefault(host, _Line())
        line.members += 1
        visit = Visit(host)
        try:
            await self._enter(line, visit, url, delay_s, deadline)
            try:
                yield visit
            except BaseException:
                self._leave_later(visit)
                raise
            await asyncio.shield(self._leave_later(visit))
        finally:
            line.left.set()
            line.members -= 1
            if not line.members:
                self._lines.pop(host, None)

    async def renew(self, visit: Visit) -> None:
        """Keeps a place for another lease, while its holder waits for something else."""
        try:
            await self._gate.enter(visit.host, visit.name, most=0, every_ms=0, burst=1, lease_ms=self._lease_ms)
        except LedgerUnavailable:
            log.warning("host_place_not_renewed")

    async def close(self) -> None:
        """Gives back what is held, and closes the gate."""
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=5.0)
        await self._gate.close()

    @property
    def _lease_ms(self) -> int:
        return int(self._limits.lease_s * 1_000)

    async def _enter(self, line: _Line, visit: Visit, url: str, delay_s: float, deadline: float) -> None:
        limit_s = max(0.0, min(self._limits.wait_s, deadline - time.monotonic()))
        try:
            async with asyncio.timeout(limit_s) as limit:
                if line.waiting or await self._ask(visit, delay_s):
                    await self._wait(line, visit, url, delay_s, limit)
        except TimeoutError as exc:
            self._leave_later(visit)
            raise _busy(url, f"its host had no place for another request within {limit_s:.1f} s") from exc
        except asyncio.CancelledError:
            self._leave_later(visit)  # the answer that it did not wait for may have been a place
            raise

    async def _wait(self, line: _Line, visit: Visit, url: str, delay_s: float, limit: asyncio.Timeout) -> None:
        line.waiting += 1
        try:
            async with line.turn:
                poll_s = _POLL_S
                while wait_s := await self._ask(visit, delay_s):
                    line.left.clear()
                    if wait_s < 0:
                        wait_s, poll_s = poll_s * random.uniform(0.7, 1.3), min(2 * poll_s, _LONGEST_POLL_S)  # noqa: S311  # no secret
                    elif asyncio.get_running_loop().time() + wait_s > (limit.when() or 0.0):
                        raise _busy(url, f"the host may be asked again in {wait_s:.1f} s at the earliest")
                    await _heard(line.left, wait_s)
        finally:
            line.waiting -= 1

    async def _ask(self, visit: Visit, delay_s: float) -> float:
        """Seconds to wait; 0 for a place, less than 0 for none at the moment."""
        limits = self._limits
        own_ms = 1_000 / limits.rate if limits.rate else 0.0
        every_ms, burst = int(max(own_ms, 1_000 * delay_s)), 1 if delay_s else limits.burst
        most = limits.at_once
        if limits.at_once_here is not None and _is_here(visit.host):
            most = limits.at_once_here
        try:
            wait_ms = await self._gate.enter(
                visit.host, visit.name, most=most, every_ms=every_ms, burst=burst, lease_ms=self._lease_ms
            )
        except LedgerUnavailable:  # nobody is asked more than it may, so nobody is asked
            return _OUTAGE_S
        return wait_ms / 1_000

    async def _leave(self, visit: Visit) -> None:
        first_ms, longest_ms = int(1_000 * self._limits.pause_s), int(1_000 * self._limits.longest_pause_s)
        try:
            await self._gate.leave(
                visit.host, visit.name, asked_ms=visit.asked_ms, first_ms=first_ms, longest_ms=longest_ms
            )
        except LedgerUnavailable:
            log.warning("host_place_not_given_back")  # its lease ends

    def _leave_later(self, visit: Visit) -> asyncio.Task[None]:
        """Gives the place back, whoever is cancelled meanwhile; the gate's own time limit bounds it."""
        task = asyncio.get_running_loop().create_task(self._leave(visit))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        return task


def _is_here(host: str) -> bool:
    """Of `name:port`. A name that leads to a loopback address is somebody's name all the same."""
    try:
        return ipaddress.ip_address(host.rpartition(":")[0].strip("[]")).is_loopback
    except ValueError:
        return False


async def _heard(event: asyncio.Event, limit_s: float) -> None:
    """Waits for the event, but not for longer."""
    try:
        async with asyncio.timeout(limit_s):
            await event.wait()
    except TimeoutError:
        pass


def _busy(url: str, why: str) -> FetchError:
    return FetchError(f"the page was not asked for: {why}", code="host_busy", url=url, retryable=True)
