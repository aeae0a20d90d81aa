"""Where app, pool and runtime meet: the app carries one `RuntimeHost`, its tasks run through it, the pool drives it."""

import asyncio
import concurrent.futures
import logging
from collections.abc import Callable

from celery import Celery

from codeforge.broker.loop_thread import LoopThread
from codeforge.broker.runtime import RuntimeFactory, TaskRuntime
from codeforge.errors import SettingsError

logger = logging.getLogger(__name__)

RUNTIME_START_S = 60.0
CLOSE_S = 2.0

_ATTRIBUTE = "codeforge_host"


class RuntimeHost:
    """A task runtime and the loop that it lives on. Made with the app, started by the pool."""

    def __init__(self, factory: RuntimeFactory, drain_s: float) -> None:
        self.drain_s = drain_s
        self._factory = factory
        self._runtime: TaskRuntime | None = None
        self._loop: LoopThread | None = None

    @property
    def running(self) -> bool:
        """Whether the loop lives."""
        return self._loop is not None and self._loop.running

    def start(self, slots: int, on_death: Callable[[], None]) -> None:
        """Starts the loop, then the runtime on it. `on_death` is called in the loop's thread if that dies later.

        Raises what the factory or the runtime's `start` raised, and TimeoutError when it takes too long.
        """
        runtime = self._factory()
        self._loop = LoopThread(on_death)
        self._loop.start()
        started = self._loop.submit(runtime.start(slots))
        try:
            started.result(RUNTIME_START_S)
        except BaseException:
            started.cancel()
            self._loop.stop(CLOSE_S)
            raise
        self._runtime = runtime

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """What the runtime lives on. Raises RuntimeError before `start`."""
        if self._loop is None:
            raise RuntimeError("the runtime was not started")
        return self._loop.loop

    async def look_at(self, task_id: str) -> str | None:
        """Has the runtime look at a task; awaited on the loop. Answers the task's state then, None when nobody can
        tell."""
        if self._runtime is None:
            raise RuntimeError("tasks of this app run in codeforge.broker.pool:AsyncioPool only")
        return await self._runtime.run(task_id)

    def stop_claiming(self) -> None:
        """Passes the word on, on the loop. May be called in a signal handler: it takes no lock."""
        if self._runtime is not None and self._loop is not None and self._loop.running:
            self._loop.loop.call_soon_threadsafe(self._runtime.stop_claiming)

    def drain(self, deadline_s: float) -> concurrent.futures.Future[None]:
        """Starts the runtime's drain."""
        if self._runtime is None or self._loop is None:
            raise RuntimeError("the runtime was not started")
        return self._loop.submit(self._runtime.drain(deadline_s))

    def close(self) -> None:
        """Stops the runtime and the loop; what fails or hangs is logged, and left."""
        if self._runtime is None or self._loop is None:
            return
        runtime, self._runtime = self._runtime, None
        if self._loop.running:
            try:
                self._loop.submit(runtime.stop()).result(CLOSE_S)
            except Exception:
                logger.exception("the runtime did not stop cleanly")
        if not self._loop.stop(CLOSE_S):
            logger.error("the event loop did not end within %.0f s", CLOSE_S)


def attach(app: Celery, host: RuntimeHost) -> None:
    """Gives the app its host."""
    setattr(app, _ATTRIBUTE, host)


def host_of(app: Celery) -> RuntimeHost:
    """The app's host. Raises SettingsError when it has none."""
    host = getattr(app, _ATTRIBUTE, None)
    if not isinstance(host, RuntimeHost):
        raise SettingsError("the Celery app has no runtime: codeforge.broker.tasks.register gives it one")
    return host
