"""The supervisor on small real processes: order, restarts, failures, and that nothing is left running."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest

from codeforge.errors import StackError
from codeforge.local.leftovers import kill_leftovers
from codeforge.local.part import STOP_RESERVE_S, STOP_S, Kind, Part
from codeforge.local.supervisor import Halt, Supervisor
from tests.unit.local.children import SLEEP, STUBBORN, graceful, made_data_dir, script_part, serving

WAIT_S = 60.0


class Run:
    """One supervised run: what it said, and each report of what runs."""

    def __init__(self, tmp_path: Path) -> None:
        self.data_dir = made_data_dir(tmp_path)
        self.said: list[str] = []
        self.reports: list[dict[str, int]] = []
        self.halt = Halt()
        self._changed = asyncio.Event()

    def part(self, name: str, script: str, kind: Kind = Kind.SERVICE, start_s: float = WAIT_S) -> Part:
        return script_part(self.data_dir, name, script, kind=kind, start_s=start_s)

    def start(self, *parts: Part) -> asyncio.Task[None]:
        supervisor = Supervisor(parts, self.data_dir, dict(os.environ), say=self.said.append, running=self._report)
        return asyncio.create_task(supervisor.run(self.halt))

    async def reported(self, count: int) -> dict[str, int]:
        """The latest report, once there have been `count`."""
        async with asyncio.timeout(WAIT_S):
            while len(self.reports) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.reports[-1]

    def _report(self, pids: Mapping[str, int]) -> None:
        self.reports.append(dict(pids))
        self._changed.set()


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what another process does, of which no event tells."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110  # see above
            await asyncio.sleep(0.01)


def gone(pids: Mapping[str, int]) -> bool:
    return not any(psutil.pid_exists(pid) for pid in pids.values())


def test_starts_in_order_reports_and_stops_in_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        run, ends = Run(tmp_path), tmp_path / "ends"
        script = graceful(ends)
        task = run.start(
            run.part("worker-a", script, Kind.WORKER),
            run.part("api", script, Kind.SERVICE),
            run.part("redis", script, Kind.ENGINE),
        )
        pids = await run.reported(1)
        assert set(pids) == {"worker-a", "api", "redis"}
        ready = [line.split()[0] for line in run.said if " ready after " in line]
        assert ready[0] == "redis"
        assert set(ready[1:]) == {"worker-a", "api"}
        run.halt()
        await task
        assert ends.read_text().split() == ["worker-a", "api", "redis"]
        assert gone(pids)
        assert not run.data_dir.children.exists()

    asyncio.run(scenario())


def test_a_killed_child_is_started_again_within_a_second(tmp_path: Path) -> None:
    async def scenario() -> None:
        run = Run(tmp_path)
        task = run.start(run.part("api", serving()), run.part("reaper", serving()))
        before = await run.reported(1)
        os.kill(before["api"], signal.SIGKILL)
        after = await run.reported(2)
        assert after["api"] != before["api"]
        assert after["reaper"] == before["reaper"]
        (told,) = [line for line in run.said if line.startswith("api died (SIGKILL); starting it again in ")]
        assert float(told.split()[-2]) < 1.0
        run.halt()
        await task
        assert gone(after)

    asyncio.run(scenario())


def test_one_that_gives_up_once_it_was_ready_says_why(tmp_path: Path) -> None:
    gives_up = "import signal; signal.signal(signal.SIGUSR1, lambda *_: sys.exit('codeforge: CODEFORGE_X: no good')); "

    async def scenario() -> None:
        run = Run(tmp_path)
        task = run.start(run.part("projector", gives_up + serving()))
        before = await run.reported(1)
        os.kill(before["projector"], signal.SIGUSR1)
        await run.reported(2)
        (died,) = [place for place, line in enumerate(run.said) if line.startswith("projector died (exit code 1)")]
        assert run.said[died + 1] == "  codeforge: CODEFORGE_X: no good"
        run.halt()
        await task

    asyncio.run(scenario())


def test_three_deaths_before_readiness_stop_the_stack_with_the_last_lines(tmp_path: Path) -> None:
    async def scenario() -> None:
        run = Run(tmp_path)
        broken = "import sys; [print('line', number) for number in range(30)]; sys.exit(3)"
        engine = run.part("redis", serving(), Kind.ENGINE)
        with pytest.raises(StackError, match=r"^api died before it was ready \(exit code 3\), for the third time$"):
            await run.start(engine, run.part("api", broken))
        lines = [line.strip() for line in run.said if line.startswith("  line")]
        assert lines == [f"line {number}" for number in range(10, 30)]
        assert sum("starting it again" in line for line in run.said) == 2
        assert not run.reports
        assert kill_leftovers(run.data_dir.children) == []

    asyncio.run(scenario())


def test_a_child_that_never_becomes_ready_stops_the_stack(tmp_path: Path) -> None:
    async def scenario() -> None:
        run = Run(tmp_path)
        with pytest.raises(StackError, match="graph was not ready after 2 s"):
            await run.start(run.part("graph", "print('loading', flush=True); " + SLEEP, Kind.ENGINE, start_s=2.0))
        assert "  loading" in run.said

    asyncio.run(scenario())


def test_a_command_that_does_not_exist_is_an_error_with_its_reason(tmp_path: Path) -> None:
    async def scenario() -> None:
        run = Run(tmp_path)
        part = run.part("redis", SLEEP, Kind.ENGINE)
        missing = Part(type(part.spec)("redis", ("/nowhere/valkey",), part.spec.ready, run.data_dir.run), Kind.ENGINE)
        with pytest.raises(StackError, match="redis died before it was ready"):
            await run.start(missing)
        assert "  cannot run /nowhere/valkey: No such file or directory" in run.said

    asyncio.run(scenario())


def test_what_ignores_sigterm_is_killed_with_its_group_and_a_second_wish_hurries(tmp_path: Path) -> None:
    async def scenario() -> None:
        run, grandchild = Run(tmp_path), tmp_path / "grandchild"
        spawn = (
            f"import subprocess; child = subprocess.Popen([sys.executable, '-I', '-S', '-c', {SLEEP!r}]); "
            f"open({str(grandchild)!r}, 'w').write(str(child.pid))"
        )
        script = f"import sys; {STUBBORN}; {spawn}; {serving()}"
        task = run.start(run.part("worker-a", script, Kind.WORKER), run.part("redis", serving(), Kind.ENGINE))
        pids = await run.reported(1)
        began = time.monotonic()
        run.halt()
        await until(lambda: "stopping the workers" in run.said)
        run.halt()
        await task
        assert time.monotonic() - began < STOP_RESERVE_S[Kind.WORKER]
        assert gone(pids)
        await until(lambda: not _alive(int(grandchild.read_text())))

    asyncio.run(scenario())


def test_stubborn_children_of_every_kind_are_gone_within_ten_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sum(STOP_RESERVE_S.values()) <= STOP_S < 10.0
    shares = {kind: reserve / 3 for kind, reserve in STOP_RESERVE_S.items()}
    monkeypatch.setattr("codeforge.local.supervisor.STOP_RESERVE_S", shares)
    monkeypatch.setattr("codeforge.local.supervisor.STOP_S", STOP_S / 3)

    async def scenario() -> None:
        run = Run(tmp_path)
        script = f"{STUBBORN}; {serving()}"
        task = run.start(*(run.part(kind.value, script, kind) for kind in Kind))
        pids = await run.reported(1)
        began = time.monotonic()
        run.halt()
        await task
        assert time.monotonic() - began < 8.0  # 3 s, and 9 if each kind had all of the time
        assert gone(pids)

    asyncio.run(scenario())


def test_a_stop_while_starting_ends_well(tmp_path: Path) -> None:
    async def scenario() -> None:
        run = Run(tmp_path)
        mark = tmp_path / "up"
        script = f"import pathlib; pathlib.Path({str(mark)!r}).touch(); {SLEEP}"
        task = run.start(run.part("redis", script, Kind.ENGINE), run.part("api", serving()))
        await until(mark.exists)
        run.halt()
        await task
        assert not run.reports
        assert not list(run.data_dir.run.glob("api*"))

    asyncio.run(scenario())


SUPERVISE = """
import asyncio, os, pathlib, sys
from codeforge.local.supervisor import Halt, Supervisor
from tests.unit.local.children import made_data_dir, script_part, serving

async def main():
    data_dir = made_data_dir(pathlib.Path(sys.argv[1]))
    parts = [script_part(data_dir, name, serving()) for name in ("api", "reaper")]
    report = lambda pids: print(*pids.values(), flush=True)
    with Halt().on_signals() as halt:
        await Supervisor(parts, data_dir, dict(os.environ), say=lambda line: None, running=report).run(halt)
asyncio.run(main())
"""


def _supervising(tmp_path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", SUPERVISE, str(tmp_path)], stdout=subprocess.PIPE, text=True)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + WAIT_S
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "children outlived their supervisor"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_stop_it_with_exit_code_0(tmp_path: Path, number: signal.Signals) -> None:
    with _supervising(tmp_path) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        process.send_signal(number)
        assert process.wait(WAIT_S) == 0
    assert len(pids) == 2
    assert not any(map(_alive, pids))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_a_killed_supervisor_leaves_nothing_running(tmp_path: Path) -> None:
    with _supervising(tmp_path) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        process.kill()
        process.wait(WAIT_S)
    assert len(pids) == 2
    _wait_until_gone(pids)
