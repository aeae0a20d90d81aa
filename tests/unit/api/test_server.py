"""The API as a process: a setting that only its parts can judge ends it with one line, before it serves."""

import subprocess
import sys

import pytest

from codeforge.settings import PREFIX, process_environment

START_S = 60


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALLOW_PRIVATE_HOSTS", "a b"), ("ALLOW_PRIVATE_HOSTS", "0x7f.1"), ("NEO4J_URI", "hunter2")],
)
def test_a_wrong_setting_ends_the_process_with_one_line(name: str, value: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "codeforge", "api"],
        env=process_environment() | {PREFIX + name: value, f"{PREFIX}API_PORT": "0", f"{PREFIX}REDIS_PORT": "1"},
        capture_output=True,
        text=True,
        timeout=START_S,
    )
    assert ended.returncode == 2
    assert f"codeforge: {PREFIX}{name}: " in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr + ended.stdout
