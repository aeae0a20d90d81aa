"""One task in the pool: a coroutine on the loop, and what Celery hears of it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from enum import Enum
from functools import partial
from typing import Any, NamedTuple

from celery.exceptions import Ignore, SoftTimeLimitExceeded

logger = logging.getLogger(__name__)

CANCEL_GRACE_S = 5.0
"""How long a coroutine that was cancelled for good may take to end before its slot is given back without it."""

Post = Callable[[Callable[[], None]], None]
"""Runs something in the worker's main thread, soon."""

Work = Callable[[], Awaitable[Any]]


class _Verdict(Enum):
    """Why the pool cancelled a coroutine."""

    SOFT_LIMIT = "soft"
    HARD_LIMIT = "hard"
    TERMINATED = "terminated"


class Callbacks(NamedTuple):
    """Celery's, of one request. They change the worker's state, so they are called in its main thread only."""

    accept: Callable[[int, float], None]
    end: Callable[[Any, BaseException | None, float], None]
    """Takes what it returned, what it raised, and the seconds that it ran."""
    timeout: Callable[[bool, float], None]


class Limits(NamedTuple):
    """Seconds, counted from the start of the coroutine; None is no limit."""

    soft_s: float | None
    hard_s: float | None


class Job:
    """What `apply_async` returns; Celery calls its `terminate`.

    Two threads meet here. The loop's thread owns `_task`, the timers and `_ended`. The main thread owns `settled`:
    whether Celery heard how the task ended. `pid` stands for a process id in Celery's books and is unique in the pool's
    life. `over` is called once in the main thread, when the slot is free again.
    """

    def __init__(
        self, pid: int, work: Work, callbacks: Callbacks, limits: Limits, post: Post, over: Callable[["Job"], None]
    ) -> None:
        self.pid = pid
        self.settled = False
        self._work = work
        self._callbacks = callbacks
        self._limits = limits
        self._post = post
        self._over = over
        self._verdict: _Verdict | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._began = 0.0
        self._ended = False

    # In the main thread

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tells Celery that the task is accepted, and runs its coroutine on the loop until it ends, which a limit,
        `terminate` or `abort` brings about if nothing else does.

        Celery hears what it returned or raised: SoftTimeLimitExceeded when that limit cancelled it, and Ignore when it
        was cancelled for good. Raises RuntimeError when the loop is closed.
        """
        self._loop = loop
        self._began = time.monotonic()
        self._callbacks.accept(self.pid, self._began)
        loop.call_soon_threadsafe(self._launch)

    def terminate(self, signal: int | None = None) -> None:
        """Cancels the coroutine for good, now or as soon as it is there. `signal` is for processes and ignored."""
        self._verdict = _Verdict.TERMINATED
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel)

    def abort(self) -> None:
        """The loop is dead, and the coroutine lost."""
        self._report(None, RuntimeError("the event loop died"))

    def _report(self, value: Any, error: BaseException | None) -> None:
        try:
            if not self.settled:
                self.settled = True
                self._callbacks.end(value, error, time.monotonic() - self._began)
        finally:
            self._over(self)

    def _time_out(self, soft: bool, limit_s: float) -> None:
        if not self.settled:
            self.settled = not soft
            self._callbacks.timeout(soft, limit_s)

    # On the loop

    def _launch(self) -> None:
        if self._verdict is not None:
            self._end(error=Ignore())
            return
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(_contained(self._work))
        self._task.add_done_callback(self._on_end)
        for verdict, limit_s in (
            (_Verdict.SOFT_LIMIT, self._limits.soft_s),
            (_Verdict.HARD_LIMIT, self._limits.hard_s),
        ):
            if limit_s:
                self._timers.append(loop.call_later(limit_s, self._expire, verdict, limit_s))

    def _expire(self, verdict: _Verdict, limit_s: float) -> None:
        if self._cancelled_for_good:
            return
        self._verdict = verdict
        self._post(partial(self._time_out, verdict is _Verdict.SOFT_LIMIT, limit_s))
        self._cancel()

    def _cancel(self) -> None:
        if self._task is None or self._task.done():
            return
        self._task.cancel()
        if self._cancelled_for_good:
            self._timers.append(asyncio.get_running_loop().call_later(CANCEL_GRACE_S, self._give_up))

    def _give_up(self) -> None:
        logger.error(
            "job %d still runs %.0f s after its cancellation; its slot is given back", self.pid, CANCEL_GRACE_S
        )
        self._end(error=Ignore())

    def _on_end(self, task: asyncio.Task[Any]) -> None:
        for timer in self._timers:
            timer.cancel()
        error = None if task.cancelled() else task.exception()
        if self._cancelled_for_good:
            self._end(error=Ignore())
        elif error is not None:
            self._end(error=error)
        elif not task.cancelled():
            self._end(task.result())
        elif self._verdict is _Verdict.SOFT_LIMIT:
            self._end(error=SoftTimeLimitExceeded(self._limits.soft_s))
        else:
            self._end(error=RuntimeError("the task's coroutine was cancelled, but not by the pool"))

    def _end(self, value: Any = None, *, error: BaseException | None = None) -> None:
        if not self._ended:
            self._ended = True
            self._post(partial(self._report, value, error))

    @property
    def _cancelled_for_good(self) -> bool:
        return self._verdict in (_Verdict.HARD_LIMIT, _Verdict.TERMINATED)


async def _contained(work: Work) -> Any:
    """A library that calls `sys.exit` fails its task; left alone, it would end the loop and every other task."""
    try:
        return await work()
    except (SystemExit, KeyboardInterrupt) as exc:
        raise RuntimeError(f"the task tried to end the process: {exc!r}") from exc
