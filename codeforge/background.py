"""What the projector and the reaper share as processes: signals, the health file, and a loop that outlives outages."""

import asyncio
import contextlib
import random
import signal
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from codeforge.errors import Unavailable
from codeforge.logs import logger

log = logger(__name__)

HEALTH_PERIOD_S = 2.0
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0


class Background:
    """One process's main loop. `turn` does a bit of work and is repeated until SIGTERM or SIGINT; it raises
    Unavailable when something that it needs is down, and is then repeated after a growing, jittered pause. Any other
    exception ends the process: it is a bug, and the supervisor starts afresh."""

    def __init__(self, name: str, health_file: Path | None) -> None:
        self._name = name
        self._health_file = health_file
        self.stopping = asyncio.Event()

    async def run(self, turn: Callable[[], Awaitable[None]], *beside: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Repeats `turn` until told to stop. What is to run `beside` it never ends by itself: its death is logged and
        ends the process, as a bug in `turn` does."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        others = [asyncio.create_task(other()) for other in beside]
        if self._health_file is not None:
            others.append(asyncio.create_task(keep_healthy(self._health_file)))
        pause_s = FIRST_PAUSE_S
        try:
            while not self.stopping.is_set():
                try:
                    await turn()
                    pause_s = FIRST_PAUSE_S
                except Unavailable as error:
                    log.warning("turn_failed", process=self._name, code=error.code, error=error.message)
                    await self.pause(random.uniform(pause_s / 2, pause_s))  # noqa: S311 - jitter
                    pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                for other in others:
                    self._look_at(other)
        finally:
            for other in others:
                other.cancel()
            await asyncio.gather(*others, return_exceptions=True)

    def _look_at(self, other: "asyncio.Task[None]") -> None:
        if other.done():
            log.critical("task_died", process=self._name, exc_info=other.exception())
            other.result()
            raise RuntimeError(f"what runs beside the {self._name} has ended")

    async def pause(self, seconds: float) -> None:
        """Waits, but not once the process is told to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()


async def keep_healthy(path: Path) -> None:
    """Touches the health file while the event loop turns; a probe looks at its age."""
    while True:
        await asyncio.to_thread(path.touch)
        await asyncio.sleep(HEALTH_PERIOD_S)
