"""Keeps one part running: starts it, awaits its readiness, starts it again when it dies."""

import asyncio
from collections.abc import Callable, Mapping

from codeforge.errors import StackError
from codeforge.local.child import TAIL_LINES, Child, tail
from codeforge.local.data_dir import DataDir
from codeforge.local.part import Part
from codeforge.local.restart_policy import RestartPolicy

KILL_S = 2.0


class Keeper:
    """One part's life. `started` is called after each start, once `child` is the new one."""

    def __init__(
        self,
        part: Part,
        data_dir: DataDir,
        environment: Mapping[str, str],
        *,
        say: Callable[[str], None],
        started: Callable[[], None],
    ) -> None:
        self.part = part
        self.child: Child | None = None
        self.ready = asyncio.Event()
        self._data_dir = data_dir
        self._environment = environment
        self._say = say
        self._started = started
        self._policy = RestartPolicy()

    async def run(self) -> None:
        """Runs until cancelled, which leaves the child as it is. Raises StackError when the part cannot be kept up."""
        self._data_dir.rotate_log(self.part.name)
        while True:
            child = await self._start()
            try:
                await self._await_readiness(child)
                await child.exited()
            finally:
                if not child.running:
                    child.kill_group()  # what it started itself must not outlive it
            delay = self._policy.died(child.lived_s)
            if delay is None:
                raise self._failure(f"died before it was ready ({child.ending}), for the third time")
            self._say(f"{self.part.name} died ({child.ending}); starting it again in {delay:.1f} s")
            if child.gave_up and self._policy.ready_once:
                self._tell_log(lines=1)
            await asyncio.sleep(delay)

    async def _start(self) -> Child:
        if self.part.health_file is not None:
            self.part.health_file.unlink(missing_ok=True)
        try:
            child = await Child.start(self.part.spec, self._environment, self._data_dir.log(self.part.name))
        except OSError as error:
            raise self._failure(f"cannot be started: {error.strerror}: {error.filename}") from error
        self.child = child
        self._started()
        return child

    async def _await_readiness(self, child: Child) -> None:
        """Returns when it is ready or has ended. One that is too slow is killed; at its first start that is fatal."""
        again = self._policy.ready_once
        try:
            async with asyncio.timeout(self.part.start_s):
                if not await child.become_ready():
                    return
        except TimeoutError as error:
            if not again:
                raise self._failure(f"was not ready after {self.part.start_s:.0f} s") from error
            child.kill_group()
            async with asyncio.timeout(KILL_S):
                await child.exited()
            return
        self._policy.became_ready()
        self._say(f"{self.part.name:<16} ready{' again' if again else ''} after {child.lived_s:.1f} s")
        self.ready.set()

    def _failure(self, what: str) -> StackError:
        """Shows the end of the part's log, and makes the error."""
        self._say(f"the last lines of {self._data_dir.log(self.part.name)}:")
        self._tell_log(lines=TAIL_LINES)
        return StackError(f"{self.part.name} {what}")

    def _tell_log(self, lines: int) -> None:
        for line in tail(self._data_dir.log(self.part.name), lines):
            self._say(f"  {line}")
