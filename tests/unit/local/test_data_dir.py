"""The data directory: one holder, private files, kept logs."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from codeforge.errors import StackError
from codeforge.local.data_dir import KEPT_LOGS, DataDir
from tests.unit.local.children import made_data_dir

HOLD = """
import sys, pathlib
from codeforge.local.data_dir import DataDir
with DataDir(pathlib.Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_holder_is_told_the_first_ones_pid(tmp_path: Path) -> None:
    data_dir = made_data_dir(tmp_path)
    command = [sys.executable, "-c", HOLD, str(data_dir.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(StackError, match=rf"in use by another codeforge up \(pid {holder.pid}\)"),
            data_dir.locked(),
        ):
            pass
        holder.kill()
    with data_dir.locked():  # the kernel released it
        assert (data_dir.root / "lock").read_text() == f"{os.getpid()}\n"


def test_a_password_is_made_once_and_private(tmp_path: Path) -> None:
    data_dir = made_data_dir(tmp_path)
    first = data_dir.password("flower").get_secret_value()
    assert len(first) >= 32
    assert data_dir.password("flower").get_secret_value() == first
    assert data_dir.password("redis").get_secret_value() != first
    mode = stat.S_IMODE((data_dir.root / "secrets" / "flower").stat().st_mode)
    assert mode == 0o600


def test_three_logs_of_earlier_runs_are_kept(tmp_path: Path) -> None:
    data_dir = made_data_dir(tmp_path)
    for run in range(KEPT_LOGS + 2):
        data_dir.rotate_log("api")
        data_dir.log("api").write_text(f"run {run}")
    logs = {path.name: path.read_text() for path in (data_dir.root / "logs").iterdir()}
    assert logs == {"api.log": "run 4", "api.log.1": "run 3", "api.log.2": "run 2", "api.log.3": "run 1"}


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match="cannot be used") as refused:
        DataDir(tmp_path / "file").prepare()
    assert refused.value.code == "data_dir_unusable"


def test_a_full_disk_is_told_in_a_line_and_leaves_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir = made_data_dir(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StackError, match="secrets/flower cannot be written: No space left on device") as refused:
        data_dir.password("flower")
    assert refused.value.code == "data_dir_unusable"
    assert list((data_dir.root / "secrets").iterdir()) == []
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StackError, match=rf"{data_dir.root} cannot be used: No space left"), data_dir.locked():
        pass
    monkeypatch.undo()
    with data_dir.locked():  # it was let go
        data_dir.password("flower")


def test_a_directory_that_may_only_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir = made_data_dir(tmp_path)

    def read_only(path: Path, *_: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(StackError, match=rf"{data_dir.root} cannot be used: Read-only"), data_dir.locked():
        pass
