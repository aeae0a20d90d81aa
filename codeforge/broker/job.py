"""One task in the pool: a tracer in a pool thread and, while it waits, a coroutine on the loop."""

import asyncio
import concurrent.futures
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.exceptions import Ignore, SoftTimeLimitExceeded

logger = logging.getLogger(__name__)

CANCEL_GRACE_S = 5.0
"""How long a coroutine that was cancelled for good may take to end before its thread is given back without it."""

Post = Callable[[Callable[[], None]], None]
"""Runs something in the worker's main thread, soon."""

Work = Callable[[], Coroutine[Any, Any, None]]


class _Verdict(Enum):
    """Why the pool cancelled a coroutine."""

    SOFT_LIMIT = "soft"
    HARD_LIMIT = "hard"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Celery's, of one request. They change the worker's state, so they are called in its main thread only."""

    accept: Callable[[int, float], None]
    success: Callable[[Any], None]
    error: Callable[[ExceptionInfo], None]
    timeout: Callable[[bool, float], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, counted from the start of the coroutine; None is no limit."""

    soft_s: float | None
    hard_s: float | None


class Job:
    """What `apply_async` returns; Celery calls its `terminate`.

    Three threads meet here. The pool thread calls `run` and waits. The loop's thread owns `_task` and the timers. The
    main thread owns `settled`: whether Celery heard how the task ended. `pid` stands for a process id in Celery's
    books and is unique in the pool's life.
    """

    def __init__(self, pid: int, callbacks: Callbacks, limits: Limits, post: Post) -> None:
        self.pid = pid
        self.settled = False
        self._callbacks = callbacks
        self._limits = limits
        self._post = post
        self._verdict: _Verdict | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._done: concurrent.futures.Future[bool] = concurrent.futures.Future()  # True: the coroutine was cancelled

    # In the pool thread

    def run(self, loop: asyncio.AbstractEventLoop, work: Work) -> None:
        """Runs the coroutine of `work` on the loop and waits for its end, which a limit, `terminate` or `abort` brings
        about if nothing else does.

        Raises what it raised; SoftTimeLimitExceeded when that limit cancelled it; Ignore when it was cancelled for
        good, so that Celery's tracer reports nothing; RuntimeError when the loop is gone.
        """
        self._loop = loop
        loop.call_soon_threadsafe(self._launch, work)
        try:
            cancelled = self._done.result()
        except Exception:
            if self._cancelled_for_good:
                raise Ignore from None
            raise
        if self._cancelled_for_good:
            raise Ignore
        if cancelled and self._verdict is _Verdict.SOFT_LIMIT:
            raise SoftTimeLimitExceeded(self._limits.soft_s)
        if cancelled:
            raise RuntimeError("the task's coroutine was cancelled, but not by the pool")

    # In the main thread

    def accept(self, at: float) -> None:
        """A thread took the task at `at` (monotonic seconds)."""
        self._callbacks.accept(self.pid, at)

    def succeed(self, outcome: Any) -> None:
        """The tracer returned, as it does for a task that failed, too."""
        if not self.settled:
            self.settled = True
            self._callbacks.success(outcome)

    def fail(self, error: ExceptionInfo) -> None:
        """The tracer itself raised."""
        if not self.settled:
            self.settled = True
            self._callbacks.error(error)

    def terminate(self, signal: int | None = None) -> None:
        """Cancels the coroutine for good, now or as soon as it is there. Threads know no signals: it is ignored."""
        self._verdict = _Verdict.TERMINATED
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel)

    def abort(self) -> None:
        """The loop is dead: frees the pool thread, the coroutine is lost."""
        self._end(error=RuntimeError("the event loop died"))

    def _time_out(self, soft: bool, limit_s: float) -> None:
        if not self.settled:
            self.settled = not soft
            self._callbacks.timeout(soft, limit_s)

    # On the loop

    def _launch(self, work: Work) -> None:
        if self._verdict is not None:
            self._end()
            return
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(_contained(work))
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
        self._end()

    def _on_end(self, task: asyncio.Task[None]) -> None:
        for timer in self._timers:
            timer.cancel()
        self._end(cancelled=task.cancelled(), error=None if task.cancelled() else task.exception())

    def _end(self, *, cancelled: bool = False, error: BaseException | None = None) -> None:
        if self._done.done():
            return
        if error is not None:
            self._done.set_exception(error)
        else:
            self._done.set_result(cancelled)

    @property
    def _cancelled_for_good(self) -> bool:
        return self._verdict in (_Verdict.HARD_LIMIT, _Verdict.TERMINATED)


async def _contained(work: Work) -> None:
    """A library that calls `sys.exit` fails its task; left alone, it would end the loop and every other task."""
    try:
        await work()
    except (SystemExit, KeyboardInterrupt) as exc:
        raise RuntimeError(f"the task tried to end the process: {exc!r}") from exc
