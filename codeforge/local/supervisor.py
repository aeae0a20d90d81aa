"""Runs the parts of a local stack: starts them in order, keeps them up, stops them in order within ten seconds."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from codeforge.local.child import Child
from codeforge.local.data_dir import DataDir
from codeforge.local.keeper import Keeper
from codeforge.local.leftovers import note_children
from codeforge.local.part import START_STAGES, STOP_RESERVE_S, STOP_S, Kind, Part

HURRIED_GRACE_S: dict[Kind, float] = {Kind.WORKER: 0.0, Kind.SERVICE: 0.0, Kind.ENGINE: 1.0}
KILL_S = 0.5
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Halt:
    """The wish to stop. A second one hurries."""

    def __init__(self) -> None:
        self.wanted = asyncio.Event()
        self.hurried = asyncio.Event()

    def __call__(self) -> None:
        """Asks to stop, or to hurry."""
        (self.hurried if self.wanted.is_set() else self.wanted).set()

    @contextmanager
    def on_signals(self) -> Iterator["Halt"]:
        """Ctrl-C, SIGTERM and a closed terminal ask, as long as the context lasts."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self)
        try:
            yield self
        finally:
            for number in STOP_SIGNALS:
                loop.remove_signal_handler(number)


class Supervisor:
    """Runs `parts` until it is told to halt.

    `environment` is the minimum for every child. `say` takes progress, a line at a time. `running` is called with
    name -> pid once all are ready, and after each later restart.
    """

    def __init__(
        self,
        parts: Iterable[Part],
        data_dir: DataDir,
        environment: Mapping[str, str],
        *,
        say: Callable[[str], None],
        running: Callable[[Mapping[str, int]], None],
    ) -> None:
        self._data_dir = data_dir
        self._say = say
        self._running = running
        self._all_ready = False
        self._keepers = [Keeper(part, data_dir, environment, say=say, started=self._note) for part in parts]

    async def run(self, halt: Halt) -> None:
        """Returns when all was stopped because of `halt`. Raises StackError, with all stopped, when a part cannot be
        kept up."""
        serving = asyncio.create_task(self._serve())
        halted = asyncio.create_task(halt.wanted.wait())
        try:
            await asyncio.wait({serving, halted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            halted.cancel()
            serving.cancel()
            await asyncio.wait({serving})
            await self._stop(halt)
        if not serving.cancelled():
            serving.result()

    async def _serve(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for stage in START_STAGES:
                    keepers = [keeper for keeper in self._keepers if keeper.part.kind in stage]
                    for keeper in keepers:
                        group.create_task(keeper.run())
                    for keeper in keepers:
                        await keeper.ready.wait()
                self._all_ready = True
                self._note()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None  # a part failed for good; what else failed is its consequence

    def _note(self) -> None:
        """Writes down what runs, at every start of a child."""
        pids = {keeper.part.name: keeper.child.pid for keeper in self._keepers if keeper.child is not None}
        note_children(self._data_dir.children, pids)
        if self._all_ready:
            self._running(pids)

    async def _stop(self, halt: Halt) -> None:
        began = time.monotonic()
        reserved = sum(STOP_RESERVE_S.values())
        for kind, reserve in STOP_RESERVE_S.items():
            reserved -= reserve
            children = [keeper.child for keeper in self._keepers if keeper.part.kind is kind]
            running = [child for child in children if child is not None and child.running]
            if running:
                self._say(f"stopping the {kind.value}")
                grace = STOP_S - (time.monotonic() - began) - reserved
                await stop_group(running, grace, HURRIED_GRACE_S[kind], halt.hurried)
        self._data_dir.children.unlink(missing_ok=True)
        self._say(f"stopped in {time.monotonic() - began:.1f} s")


async def stop_group(children: list[Child], grace: float, hurried_grace: float, hurried: asyncio.Event) -> None:
    """SIGTERM to the running children, `grace` seconds (`hurried_grace` from the moment somebody hurries), then
    SIGKILL to what is left of each one's process group."""
    for child in children:
        child.signal(signal.SIGTERM)
    ended = asyncio.create_task(_all_exited(children))
    hurry = asyncio.create_task(_until(hurried))
    try:
        await asyncio.wait({ended, hurry}, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        if hurried.is_set():
            await asyncio.wait({ended}, timeout=hurried_grace)
        for child in children:
            child.kill_group()
        await asyncio.wait({ended}, timeout=KILL_S)
    finally:
        hurry.cancel()
        ended.cancel()


async def _all_exited(children: list[Child]) -> None:
    for child in children:
        await child.exited()


async def _until(event: asyncio.Event) -> None:
    await event.wait()
