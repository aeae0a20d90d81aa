"""Where the engine is called: off the event loop, and all writes from one thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

READERS = 2

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """One thread for all writes, in the order in which they came, and a few for reads."""

    def __init__(self) -> None:
        self._writer = ThreadPoolExecutor(1, "writer")
        self._readers = ThreadPoolExecutor(READERS, "reader")

    async def write(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs the call in the writer's thread."""
        return await _run(self._writer, call, *args, **kwargs)

    async def read(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs the call in a reader's thread."""
        return await _run(self._readers, call, *args, **kwargs)

    def stop(self) -> None:
        """Returns once every call that was begun has ended; those that wait are dropped."""
        self._readers.shutdown(cancel_futures=True)
        self._writer.shutdown(cancel_futures=True)


async def _run(executor: Executor, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await asyncio.get_running_loop().run_in_executor(executor, partial(call, *args, **kwargs))
