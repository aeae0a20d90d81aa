"""The containers' probe: exit codes and reasons."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from codeforge.health import main


class Answering(BaseHTTPRequestHandler):
    """200 to /healthz, 503 to all else."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Tests print nothing."""


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and nobody else can take while the test runs."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def beaten(path: Path, age_s: float) -> str:
    path.touch()
    then = time.time() - age_s
    os.utime(path, (then, then))
    return str(path)


def test_a_fresh_file_is_healthy(tmp_path: Path) -> None:
    assert main([beaten(tmp_path / "health", 5)]) == 0


def test_an_old_file_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = beaten(tmp_path / "health", 30)
    assert main([path]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"{path}: last touched ")
    assert 30 <= int(told.removesuffix(" s ago\n").split()[-1]) < 60


def test_the_age_can_be_set(tmp_path: Path) -> None:
    path = beaten(tmp_path / "health", 30)
    assert main([path, "--max-age", "60"]) == 0
    assert main([path, "--max-age", "2.5"]) == 1


def test_a_process_that_never_beat_is_not_healthy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_a_url_must_answer_200(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"{server}/healthz"]) == 0
    assert main([f"{server}/readyz"]) == 1
    assert capsys.readouterr().err == f"{server}/readyz: answered 503\n"


def test_nobody_at_the_url(closed_port: int) -> None:
    assert main([f"http://127.0.0.1:{closed_port}/healthz"]) == 1


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["a", "--max-age", "soon"], ["a", "--max-age"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("usage:")


def test_as_containers_run_it(tmp_path: Path) -> None:
    probe = [sys.executable, "-m", "codeforge.health"]
    fresh = subprocess.run([*probe, beaten(tmp_path / "fresh", 0)], capture_output=True, timeout=60, check=False)
    old = subprocess.run([*probe, beaten(tmp_path / "old", 99)], capture_output=True, timeout=60, check=False)
    assert (fresh.returncode, old.returncode) == (0, 1)
