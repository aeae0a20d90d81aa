"""What the pool drives: the part of a worker that claims tasks and runs agents."""

from collections.abc import Callable
from typing import Protocol

from codeforge.task import TaskState


class TaskRuntime(Protocol):
    """Lives on the process's event loop. Every coroutine is awaited there."""

    async def start(self, slots: int) -> None:
        """Before the first task; `slots` tasks run at once at most. A failure stops the worker, and its message is
        the one line that an operator reads."""
        ...

    async def run(self, task_id: str) -> TaskState | None:
        """Claims the task and runs it. Never raises for a task's own failure; returns at once when there is nothing
        to claim. Answers the task's state after that; None when nobody can tell. Cancelled when the task must stop; it
        lets the cancellation pass."""
        ...

    def stop_claiming(self) -> None:
        """The worker was told to stop: from now on `run` claims nothing. May be called from any thread, and again."""
        ...

    async def drain(self, deadline_s: float) -> None:
        """Finishes what runs or hands it back, within `deadline_s` seconds; 0 means hand back at once."""
        ...

    async def stop(self) -> None:
        """Closes clients. Nothing runs any more."""
        ...


RuntimeFactory = Callable[[], TaskRuntime]
"""Makes the runtime of a worker process, once; it is called in the worker's main thread, outside the loop."""
