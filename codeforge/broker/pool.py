"""A Celery pool whose tasks are coroutines on one asyncio loop.

Celery's tracer is left out (strategy.py): a task is what `codeforge.broker.tasks` registered, so its coroutine starts
on the loop as soon as its message is there, and no thread waits for it. The pool gives what Celery's own threads pool
lacks: soft and hard limits, `terminate_job`, and a drain with a deadline.

Every callback of Celery's is called in the worker's main thread, as its prefork pool does: they change the worker's
state and use its broker connection. The loop hands them over through a mailbox.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

from celery import signals
from celery.concurrency.base import BasePool
from celery.exceptions import WorkerShutdown
from celery.platforms import EX_FAILURE
from celery.worker import state

from codeforge.broker.host import RuntimeHost, host_of
from codeforge.broker.job import Callbacks, Job, Limits
from codeforge.broker.mailbox import Mailbox
from codeforge.broker.stop_signals import leave_word_only
from codeforge.errors import CodeForgeError, SettingsError

logger = logging.getLogger(__name__)

DRAIN_MARGIN_S = 1.0
"""What the runtime's drain gets on top of its deadline, for its answer to arrive."""
STOP_GRACE_S = 2.0
"""How long tasks that outlived the drain may take to end once they are cancelled."""
EXIT_S = 10.0
"""How long a worker whose loop died may take to stop, before it is made to."""
TICK_S = 0.1


class AsyncioPool(BasePool):  # type: ignore[misc]  # celery ships no types
    """Runs the tasks of an app that `codeforge.broker.tasks.register` gave a runtime. `limit` tasks run at once."""

    body_can_be_buffer = True
    signal_safe = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._host: RuntimeHost = host_of(self.app)
        self._jobs: dict[int, Job] = {}  # by pid; of the main thread, as the next one
        self._waiting: deque[Job] = deque()
        self._pids = count(1)
        self._mailbox = Mailbox()
        self._hub: Any = None
        self._stop_by: float | None = None  # set while it stops; monotonic seconds

    # Celery's hooks, in the main thread

    def on_start(self) -> None:
        """Starts loop and runtime. What goes wrong is logged as one line, and stops the worker with exit code 1."""
        if self.options.get("threads"):  # Celery's word for a worker without an event loop of its own
            raise SettingsError("the asyncio pool needs a broker that Celery polls with its event loop: Redis")
        signals.worker_shutting_down.connect(self._on_shutting_down)
        leave_word_only()
        try:
            self._host.start(self.limit, self._on_loop_death)
        except Exception as exc:
            own = isinstance(exc, CodeForgeError)  # its message says it all; anything else is a fault to be traced
            logger.critical("the worker cannot start: %s", exc if own else repr(exc), exc_info=not own)
            raise WorkerShutdown(EX_FAILURE) from exc

    def did_start_ok(self) -> bool:
        """Whether tasks can run."""
        return self._host.running

    def register_with_event_loop(self, hub: Any) -> None:
        """At the start and after each reconnect, before the first task."""
        self._hub = hub
        hub.add_reader(self._mailbox.fileno(), self._mailbox.run_posted)

    def on_apply(
        self,
        target: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        callback: Callable[[Any, BaseException | None, float], None] | None = None,
        accept_callback: Callable[[int, float], None] | None = None,
        timeout_callback: Callable[[bool, float], None] | None = None,
        soft_timeout: float | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> Job:
        """Runs the coroutine function `target` on the loop. Limits in seconds, the worker's own where none are given;
        `callback` is called with what it returned, what it raised, and the seconds that it ran."""
        callbacks = Callbacks(accept_callback or _ignore, callback or _ignore, timeout_callback or _ignore)
        limits = Limits(soft_timeout or self.options.get("soft_timeout"), timeout or self.options.get("timeout"))
        work = partial(target, *args, **(kwargs or {}))
        job = Job(next(self._pids), work, callbacks, limits, self._mailbox.post, self._over)
        self._jobs[job.pid] = job
        self._waiting.append(job)
        self._start_next()
        return job

    def terminate_job(self, pid: int, signal: int | None = None) -> None:
        """Cancels a task. Celery reports it as revoked itself, so no callback of the task's is called any more."""
        job = self._jobs.get(pid)
        if job is not None:
            job.settled = True
            job.terminate(signal)

    def grow(self, n: int = 1) -> None:
        """Refused: slots are fixed, because the ledger was told their number."""
        raise NotImplementedError("the asyncio pool does not grow: set MAX_CONCURRENT_TASKS")

    def shrink(self, n: int = 1) -> None:
        """Refused, as `grow`."""
        raise NotImplementedError("the asyncio pool does not shrink: set MAX_CONCURRENT_TASKS")

    def on_close(self) -> None:
        """The worker stops, by a signal or by remote control."""
        self._host.stop_claiming()

    def on_stop(self) -> None:
        """Warm shutdown: tasks finish or are handed back within the host's `drain_s`, or at once if a cold one was
        asked for since."""
        if self._stop_by is None:
            cold = state.should_terminate not in (None, False)
            self._stop(0.0 if cold else self._host.drain_s)

    def on_terminate(self) -> None:
        """Cold shutdown."""
        if self._stop_by is None:
            self._stop(0.0)

    def _get_info(self) -> dict[str, Any]:
        return {
            **super()._get_info(),
            "processes": [os.getpid()],
            "running": len(self._jobs),
            "timeouts": [self.options.get("soft_timeout") or 0, self.options.get("timeout") or 0],
        }

    # Stopping, in the main thread

    def _stop(self, drain_s: float) -> None:
        self._stop_by = time.monotonic() + drain_s + DRAIN_MARGIN_S
        try:
            if self._host.running:
                self._drain(drain_s)
            if not self._host.running:
                self._waiting.clear()
            for job in list(self._jobs.values()):
                job.terminate() if self._host.running else job.abort()
            self._stop_by = time.monotonic() + STOP_GRACE_S
            self._serve_until(lambda: not self._jobs)
            if self._jobs:
                logger.error("%d tasks did not end when they were cancelled", len(self._jobs))
            self._host.close()
        finally:
            signals.worker_shutting_down.disconnect(self._on_shutting_down)

    def _drain(self, drain_s: float) -> None:
        drained = self._host.drain(drain_s)
        drained.add_done_callback(lambda _: self._mailbox.wake())
        self._serve_until(lambda: drained.done() and not self._jobs)
        if not drained.done():
            drained.cancel()
            logger.error("the runtime did not drain within %.1f s", drain_s)
        elif not drained.cancelled() and (error := drained.exception()) is not None:
            logger.error("the runtime's drain failed: %r", error, exc_info=error)

    def _serve_until(self, done: Callable[[], bool]) -> None:
        """Celery's hub stands still while the worker stops: callbacks and its timers (heartbeats) run here."""
        while not done() and self._stop_by is not None and time.monotonic() < self._stop_by:
            self._mailbox.wait(TICK_S)
            self._mailbox.run_posted()
            if self._hub is not None:
                self._hub.fire_timers()

    # In the main thread, by the mailbox or a signal

    def _start_next(self) -> None:
        """There are no more messages than slots, but for moments such as a reconnect."""
        while self._waiting and len(self._jobs) - len(self._waiting) < self.limit:
            self._waiting.popleft().start(self._host.loop)

    def _over(self, job: Job) -> None:
        if self._jobs.pop(job.pid, None) is not None:
            self._start_next()

    def _on_shutting_down(self, *, how: str, **_: Any) -> None:
        """SIGTERM, SIGINT or SIGQUIT, in the signal handler: the hub may sleep for a second before it looks. A cold
        shutdown cuts a warm one short that is under way."""
        self._host.stop_claiming()
        if how == "Cold" and self._stop_by is not None:
            self._stop_by = 0.0
        self._mailbox.wake()

    # In the loop's thread

    def _on_loop_death(self) -> None:
        """The worker stops with exit code 1, by force if it cannot in time."""
        state.should_stop = EX_FAILURE
        watchdog = threading.Timer(EXIT_S, _end_process)
        watchdog.daemon = True
        watchdog.start()
        self._mailbox.wake()


def _end_process() -> None:
    logger.critical("the worker did not stop after its event loop died; ending it")
    os._exit(EX_FAILURE)


def _ignore(*_: Any) -> None:
    """A callback that was not given."""
