"""Finds an event loop that stands still, because an agent computes without ever awaiting, and saves the other agents.

The lease is kept by a thread of its own, so a process whose loop stands still would look alive for ever.
"""

import asyncio
import contextlib
import contextvars
import os
import threading
import weakref
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from codeforge.errors import StaleClaim
from codeforge.ledger.port import Ledger
from codeforge.logs import logger
from codeforge.task import Claim

log = logger(__name__)

POLL_S = 1.0
RESCUE_S = 10.0
EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h

attempt_of_context: contextvars.ContextVar[str | None] = contextvars.ContextVar("attempt", default=None)
"""The task id of the attempt that code runs for."""

_tags: weakref.WeakKeyDictionary[asyncio.Task[Any], str] = weakref.WeakKeyDictionary()
"""Which attempt asyncio tasks work for."""


def begin_attempt(task_id: str) -> None:
    """The calling asyncio task works for this attempt from now on, as the tasks do that it makes."""
    attempt_of_context.set(task_id)
    if (task := asyncio.current_task()) is not None:
        _tags[task] = task_id


async def rescue(ledger: Ledger, claims: Collection[Claim], blocker: str | None) -> None:
    """Hands back every task but the one that blocks the loop, which runs alone from now on. Without a blocker nobody
    can be blamed, and nothing is done."""
    for claim in claims if blocker is not None else ():
        with contextlib.suppress(StaleClaim):
            if claim.task_id == blocker:
                await ledger.suspect(claim)
            else:
                await ledger.hand_back(claim)


class AttemptTags:
    """Has the asyncio tasks of a loop work for the attempt of those that make them; it stands in their context."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        loop.set_task_factory(self._make)

    def _make(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any] | Any, **options: Any
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
        context: contextvars.Context | None = options.get("context")
        tag = attempt_of_context.get() if context is None else context.get(attempt_of_context)
        if tag is not None:
            _tags[task] = tag
        return task

    def current(self) -> str | None:
        """The attempt whose code the loop runs at this moment; may be called from any thread."""
        task = asyncio.current_task(self._loop)
        return None if task is None else _tags.get(task)


class LoopWatchdog:
    """Watches one loop from a thread of its own.

    When the loop has not turned for `limit_s` seconds, `rescue` gets the attempt that blocks it (None when nobody can
    tell) and runs on a loop of its own; then the process exits with `EXIT_CODE`. A process that was stopped and
    continued is not taken for one whose loop stands still: only polls that this thread itself made are counted.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limit_s: float,
        rescue: Callable[[str | None], Coroutine[Any, Any, None]],
        *,
        end: Callable[[int], Any] = os._exit,
    ) -> None:
        self._loop = loop
        self._polls = max(2, round(limit_s / POLL_S))
        self._rescue = rescue
        self._end = end
        self._tags = AttemptTags(loop)
        self._turned = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Starts the thread; once is enough."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """Stops it."""
        self._stopping.set()

    def _run(self) -> None:
        missed = 0
        while not self._stopping.is_set():
            self._turned.clear()
            try:
                self._loop.call_soon_threadsafe(self._turned.set)
            except RuntimeError:  # the loop was closed: the process is ending
                return
            self._stopping.wait(POLL_S)
            missed = 0 if self._turned.is_set() else missed + 1
            if missed >= self._polls:
                self._give_up()
                return

    def _give_up(self) -> None:
        blocker = self._tags.current()
        log.critical("event_loop_stands_still", task_id=blocker)
        try:
            asyncio.run(asyncio.wait_for(self._rescue(blocker), RESCUE_S))
        except Exception:
            log.exception("rescue_failed")  # the lease runs out, and the reaper takes all of them back
        finally:
            self._end(EXIT_CODE)
