"""Threads for Celery's tracer: one for each task that runs."""

import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

logger = logging.getLogger(__name__)

STACK_BYTES = 512 * 1024
"""Address space of a thread's stack. A tracer waits in it and calls nothing deep; only touched pages cost memory."""


class TaskThreads:
    """At most `limit` threads, started when work comes and none is idle, and kept. They are daemons, so that one whose
    task cannot be stopped does not keep the process from ending (those of `concurrent.futures` do)."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._unfinished = 0

    def __len__(self) -> int:
        return len(self._threads)

    def submit(self, work: Callable[[], None]) -> None:
        """Runs `work` on a thread; it waits while all are busy. Called from one thread only."""
        with self._lock:
            self._unfinished += 1
            needs_thread = len(self._threads) < min(self._limit, self._unfinished)
        self._work.put(work)
        if needs_thread:
            self._start_thread()

    def stop(self, timeout_s: float) -> None:
        """Lets the threads finish what they do and end, within `timeout_s`; those that do not are left behind."""
        for _ in self._threads:
            self._work.put(None)
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._serve, name=f"task-{len(self._threads)}", daemon=True)
        before = threading.stack_size(STACK_BYTES)  # process-wide: for the start of this one only
        try:
            thread.start()
        finally:
            threading.stack_size(before)
        self._threads.append(thread)

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception:
                logger.exception("a pool thread's work failed")
            with self._lock:
                self._unfinished -= 1
            del work  # an idle thread holds no finished task
