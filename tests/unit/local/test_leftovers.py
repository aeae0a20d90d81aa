"""What a crashed stack left is killed, and nothing else."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeforge.local.leftovers import identity, kill_leftovers, note_children
from tests.unit.local.children import SLEEP

STOP_S = 60


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", SLEEP], start_new_session=True) as process:
        yield process
        process.kill()


def test_a_noted_child_is_killed(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    notes = tmp_path / "children.json"
    note_children(notes, {"worker-scrape": sleeper.pid})
    assert kill_leftovers(notes) == ["worker-scrape"]
    assert sleeper.wait(STOP_S) == -9
    assert not notes.exists()


def test_a_process_that_has_a_childs_old_pid_is_spared(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    notes = tmp_path / "children.json"
    note_children(notes, {"api": sleeper.pid})
    rows = json.loads(notes.read_text())
    rows[0]["identity"] += "1"  # noted for a process that started at another time
    notes.write_text(json.dumps(rows))
    assert kill_leftovers(notes) == []
    assert sleeper.poll() is None


def test_a_child_that_has_ended_is_no_leftover(tmp_path: Path) -> None:
    notes = tmp_path / "children.json"
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", SLEEP], start_new_session=True) as process:
        note_children(notes, {"api": process.pid})
        process.kill()
    assert kill_leftovers(notes) == []


def test_a_child_that_only_waits_to_be_reaped_is_no_leftover(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    notes = tmp_path / "children.json"
    note_children(notes, {"api": sleeper.pid})
    os.kill(sleeper.pid, 9)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is left a zombie
    assert kill_leftovers(notes) == []


def test_no_notes_no_leftovers(tmp_path: Path) -> None:
    assert kill_leftovers(tmp_path / "children.json") == []


def test_an_identity_is_stable_and_tells_processes_apart(sleeper: subprocess.Popen[bytes]) -> None:
    assert identity(os.getpid()) == identity(os.getpid())
    assert identity(os.getpid()) != identity(sleeper.pid)
