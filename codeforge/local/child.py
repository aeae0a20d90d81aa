"""One running child of the supervisor: started, awaited, stopped, always with its whole process group."""

import asyncio
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from codeforge.local.process import ProcessSpec

LAUNCHER = Path(__file__).with_name("launcher.py")
READY_POLL_S = 0.05
TAIL_LINES = 20


class Child:
    """A started process. Made by `start`."""

    def __init__(self, spec: ProcessSpec, process: asyncio.subprocess.Process) -> None:
        self.spec = spec
        self._process = process
        self._started = time.monotonic()

    @classmethod
    async def start(cls, spec: ProcessSpec, environment: Mapping[str, str], log: Path) -> "Child":
        """Starts the command in a session of its own, its output appended to `log`.

        `environment` is the minimum that the spec's own is added to. Raises OSError when it cannot be started.
        """
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", os.fspath(LAUNCHER), str(os.getpid())),
                *spec.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=spec.cwd,
                env={**environment, **spec.env},
                start_new_session=True,  # a Ctrl-C in the terminal reaches the supervisor only, which stops in order
            )
        return cls(spec, process)

    @property
    def pid(self) -> int:
        """The process id, which is its process group's too."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    @property
    def lived_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @property
    def ending(self) -> str:
        """How it ended, for people: `exit code 1`, `SIGKILL`."""
        code = self._process.returncode or 0
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    @property
    def gave_up(self) -> bool:
        """Whether it ended by itself, for a reason that its log may tell."""
        return (self._process.returncode or 0) > 0

    async def exited(self) -> None:
        """Returns once it has ended."""
        await self._process.wait()

    async def become_ready(self) -> bool:
        """Polls until it serves (True) or has ended (False). The caller sets the deadline."""
        while self.running:
            try:
                if await self.spec.ready():
                    return True
            except OSError:  # "not yet", by ProcessSpec's contract
                pass
            await asyncio.sleep(READY_POLL_S)
        return False

    def signal(self, number: signal.Signals) -> None:
        """Signals the process itself; nothing happens when it has ended."""
        if self.running:
            self._process.send_signal(number)

    def kill_group(self) -> None:
        """SIGKILL to whatever is left of its process group, be the process itself alive or not."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # nothing is left
        except PermissionError:
            pass  # macOS: only zombies are left


def tail(log: Path, lines: int) -> list[str]:
    """The last lines of a log; none when there is no log."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=lines)]
    except FileNotFoundError:
        return []
