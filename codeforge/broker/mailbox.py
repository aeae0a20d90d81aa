"""What other threads have to be done in the worker's main thread."""

import logging
import os
import select
from collections import deque
from collections.abc import Callable
from contextlib import suppress

logger = logging.getLogger(__name__)

_PIPE_BYTES = 65_536


class Mailbox:
    """Calls, run in the order in which they were posted, and a descriptor that is readable while there are any.

    A descriptor, because kombu's hub polls once more, for up to a second, before it runs what a callback of its own
    `call_soon` scheduled; what a reader scheduled it runs at once. And `wake` may be called in a signal handler, which
    the hub's lock forbids for `call_soon`.
    """

    def __init__(self) -> None:
        self._calls: deque[Callable[[], None]] = deque()
        self._awake = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def fileno(self) -> int:
        """The descriptor to poll for reading."""
        return self._reader

    def post(self, call: Callable[[], None]) -> None:
        """Has `call` run in the main thread. From any thread."""
        self._calls.append(call)
        if not self._awake:
            self._awake = True
            self.wake()

    def wake(self) -> None:
        """Ends a wait for the descriptor. From any thread and from signal handlers."""
        with suppress(BlockingIOError):  # a full pipe wakes as well
            os.write(self._writer, b"\0")

    def wait(self, timeout_s: float) -> None:
        """Waits for a call or a wake-up."""
        select.select([self._reader], [], [], timeout_s)

    def run_posted(self) -> None:
        """Runs what was posted. What a call raises is logged: out of the hub, it would end the worker."""
        with suppress(BlockingIOError):
            os.read(self._reader, _PIPE_BYTES)
        self._awake = False  # before the first call is taken: whoever posts from here on wakes again
        while self._calls:
            call = self._calls.popleft()
            try:
                call()
            except Exception:
                logger.exception("a callback of a task failed")

    def close(self) -> None:
        """Closes the descriptor. Nothing may be posted any more."""
        os.close(self._reader)
        os.close(self._writer)
