"""Processes of a run: started in sessions of their own, measured, and gone at its end whatever happens."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.servers.valkey import free_port

ROOT = Path(__file__).parents[1]
PEERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
READY_S = 60.0
PORT_ATTEMPTS = 3
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = READY_S, pause_s: float = 0.01) -> None:
    """Polls. Raises TimeoutError that says what did not happen."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {deadline_s:.0f} s: {what}")
        time.sleep(pause_s)


class Processes:
    """What one run started. `directory` takes their output."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self, name: str, *module: str, env: Mapping[str, str] | None = None, python: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """`python -m <module...>` with nothing of this environment but what any program needs, and `env`."""
        return self.run(name, [str(python or sys.executable), "-m", *module], env)

    def run(self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Any command."""
        kept = {key: os.environ[key] for key in KEPT if key in os.environ}
        with (self.directory / f"{name}.log").open("wb") as output:
            process = subprocess.Popen(
                command, env=kept | dict(env or {}), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True,
            )  # fmt: skip
        self._started[name] = process
        return process

    def output(self, name: str) -> str:
        """What it printed."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def wait_output(self, name: str, text: str, times: int = 1) -> None:
        """Until it printed this so often. Raises RuntimeError when it ended instead."""

        def printed() -> bool:
            if self._started[name].poll() is not None:
                raise RuntimeError(f"{name} ended: {self.output(name)[-2000:]}")
            return self.output(name).count(text) >= times

        wait_until(printed, f"{text!r} from {name}")

    def wait_end(self, name: str, deadline_s: float) -> None:
        """Until it ended by itself. Raises RuntimeError when it failed, TimeoutError when it is not over in time."""
        process = self._started[name]
        wait_until(lambda: process.poll() is not None, f"{name} has ended", deadline_s)
        if process.returncode:
            raise RuntimeError(f"{name} failed: {self.output(name)[-2000:]}")

    def wait_port(self, name: str, port: int) -> None:
        """Until this process, and no other that was given the same port, listens there."""

        def listens() -> bool:
            if self._started[name].poll() is not None:
                raise RuntimeError(f"{name} ended: {self.output(name)[-2000:]}")
            return any(
                connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
                for process in self.tree(name)
                for connection in process.net_connections("tcp")
            )

        wait_until(listens, f"{name} on port {port}", pause_s=0.05)

    def serve(self, name: str, command: Callable[[int], tuple[Sequence[str], Mapping[str, str]]]) -> int:
        """Starts a server on a free port, on another one when somebody was faster; answers the port. `command` gives
        the arguments after `python -m`, and the environment."""
        for left in reversed(range(PORT_ATTEMPTS)):
            port = free_port()
            module, env = command(port)
            self.start(name, *module, env=env)
            try:
                self.wait_port(name, port)
            except (RuntimeError, psutil.NoSuchProcess):
                if not left:
                    raise
            else:
                return port
        raise AssertionError("the last attempt returns or raises")

    def tree(self, *names: str) -> list[psutil.Process]:
        """The processes of these names and their children."""
        return [process for name in names for process in family(self._started[name].pid)]

    def memory_mb(self, *names: str) -> float:
        """Proportional set size of these and their children together: shared pages count once."""
        return memory_mb(self.tree(*names))

    def cpu_s(self, *names: str) -> float:
        """Processor time of these and their children so far, in seconds."""
        return cpu_s(self.tree(*names))

    def stop(self, *names: str, grace_s: float = 10.0) -> None:
        """SIGTERM, then SIGKILL to what is left of each session."""
        for name in names:
            if self._started[name].poll() is None:
                self._started[name].send_signal(signal.SIGTERM)
        for name in names:
            process = self._started.pop(name)
            with suppress(subprocess.TimeoutExpired):
                process.wait(grace_s)
            _kill_session(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._started.values():
            _kill_session(process)
        self._started.clear()


def family(pid: int) -> list[psutil.Process]:
    """A process and its children."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def memory_mb(processes: Sequence[psutil.Process]) -> float:
    """Their proportional set size together, in megabytes."""
    return float(sum(process.memory_full_info().pss for process in processes) / 1e6)


def cpu_s(processes: Sequence[psutil.Process]) -> float:
    """Their processor time so far, in seconds."""
    spent = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # a helper of a start, gone by now
            times = process.cpu_times()
            spent += times.user + times.system
    return spent


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # a session of its own, see `run`
    process.wait(READY_S)
