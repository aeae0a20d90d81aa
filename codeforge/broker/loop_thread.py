"""The process's one asyncio loop, in a thread of its own."""

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

START_S = 10.0

T = TypeVar("T")


class LoopThread:
    """Runs a loop until `stop`. When it ends in any other way, `on_death` is called in its thread, once."""

    def __init__(self, on_death: Callable[[], None]) -> None:
        self._on_death = on_death
        self._ready = threading.Event()
        self._stopping = False
        self._ended = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop_event: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._main, name="asyncio", daemon=True)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop. Raises RuntimeError before `start`."""
        if self._loop is None:
            raise RuntimeError("the event loop was not started")
        return self._loop

    @property
    def running(self) -> bool:
        """Whether coroutines are being run."""
        return self._ready.is_set() and not self._ended

    def start(self) -> None:
        """Starts the thread and waits until the loop runs. Raises RuntimeError when it does not."""
        self._thread.start()
        if not self._ready.wait(START_S):
            raise RuntimeError("the event loop did not start")

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Runs a coroutine on the loop; called from other threads. Raises RuntimeError when the loop is closed."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        except RuntimeError:
            coroutine.close()
            raise

    def stop(self, timeout_s: float) -> bool:
        """Cancels what is left on the loop and ends it. False when that took longer than `timeout_s`."""
        self._stopping = True
        if self.running and self._stop_event is not None:
            self.loop.call_soon_threadsafe(self._stop_event.set)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _main(self) -> None:
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            self._loop = runner.get_loop()
            try:
                runner.run(self._until_stopped())
            except BaseException as exc:  # SystemExit and KeyboardInterrupt of a callback end a loop, too
                self._ended = True
                if self._stopping:
                    logger.exception("the event loop ended with an error while it was being stopped")
                else:
                    logger.critical("the event loop died: %r", exc, exc_info=exc)
                    self._on_death()
            self._ended = True
            # Leaving the runner cancels what is left and lets it end: tasks may still hand themselves back.

    async def _until_stopped(self) -> None:
        self._stop_event = asyncio.Event()
        self._ready.set()
        await self._stop_event.wait()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # a platform without it
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
