"""Agents that break what runs them, beside innocent ones."""

import os
import signal
import threading
from collections import Counter
from types import TracebackType
from typing import Self

import psutil

from tests.faults.loads import Load, debates, poison
from tests.faults.rig import Rig
from tests.faults.verdict import Figures, wait_settled

PATIENCE_S = 140.0
KILLED_OVER_MB = 700
KILLER_POLL_S = 0.02


class OomKiller:
    """Does what the kernel does when the memory of a machine is used up: SIGKILL to the process that holds too much."""

    def __init__(self, rig: Rig, most_mb: int) -> None:
        self._rig = rig
        self._most = most_mb << 20
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="oom-killer", daemon=True)
        self.kills = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(KILLER_POLL_S):
            for name, service in self._rig.services.items():
                if name.startswith("worker") and service.alive:
                    self._look_at(service.pid)

    def _look_at(self, pid: int) -> None:
        try:
            for process in [root := psutil.Process(pid), *root.children()]:
                if process.memory_info().rss > self._most:
                    os.kill(process.pid, signal.SIGKILL)
                    self.kills += 1
        except (psutil.NoSuchProcess, ProcessLookupError):  # it has just ended
            return


def poison_agents(rig: Rig, load: Load, _: Figures) -> str:
    """Innocent tasks beside some that raise, end their process, or never await."""
    states = _beside_innocents(rig, load, ("raise", "exit", "spin"))
    assert states == {"dead": 2 * load.faults, "failed": load.faults}, states
    return f"{load.faults} poison tasks each of raise, os._exit, endless loop"


def memory_hogs(rig: Rig, load: Load, _: Figures) -> str:
    """Beside some that grow until their worker drains for its memory, and some that grow so fast that it is killed."""
    with OomKiller(rig, KILLED_OVER_MB) as killer:
        states = _beside_innocents(rig, load, ("grow", "devour"))
    drained = sum(
        path.read_text(errors="replace").count('"event": "memory_limit_passed"')
        for path in rig.directory.glob("worker-*.log")
    )
    assert states == {"dead": 2 * load.faults}, states
    assert killer.kills
    assert drained
    return (
        f"{load.faults} tasks each that eat memory slowly and at once: {drained} workers drained for it, "
        f"{killer.kills} processes killed at {KILLED_OVER_MB} MB"
    )


def _beside_innocents(rig: Rig, load: Load, deeds: tuple[str, ...]) -> dict[str, int]:
    """How the poison tasks ended. The others succeeded, and it cost them no attempt."""
    rig.submit([*debates(load.tasks), *(poison(deed) for deed in deeds for _ in range(load.faults))], "load")
    wait_settled(rig, PATIENCE_S)
    rows = rig.rows("state", "type", "attempts").values()
    innocent = [(state, attempts) for state, kind, attempts in rows if kind == "debate"]
    assert innocent == [("succeeded", "1")] * load.tasks, f"innocent tasks: {Counter(innocent)}"
    return dict(Counter(str(state) for state, kind, _ in rows if kind != "debate"))
