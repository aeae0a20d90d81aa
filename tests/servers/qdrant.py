"""The embedded Qdrant as a process for tests, on a free loopback port."""

import re
import subprocess
import sys
import time
from pathlib import Path

import psutil

START_S = 60.0
STOP_S = 60.0
SERVING = re.compile(r"^serving .* on http://127\.0\.0\.1:(\d+)$", re.MULTILINE)


class QdrantServer:
    """One server. It keeps its port and its data through `kill`, `stop` and `start`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self.directory / "log").read_text()

    @property
    def pid(self) -> int:
        """The running server's process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def resident_mb(self) -> float:
        """The memory that it holds, in megabytes."""
        return float(psutil.Process(self.pid).memory_info().rss / 1e6)

    def start(self) -> None:
        """Starts it and waits until it serves; does nothing when it runs. Raises RuntimeError with its log."""
        if self._process is not None and self._process.poll() is None:
            return
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(command(self.directory / "data", self.port), stderr=log)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            serving = SERVING.search(self.log)
            if serving:
                self.port = int(serving[1])
                return
            time.sleep(0.01)
        self.kill()
        raise RuntimeError(f"the embedded Qdrant did not start: {self.log[-2000:]}")

    def stop(self) -> tuple[int, float]:
        """SIGTERM. Returns the exit code and how long the process took to end, in seconds."""
        assert self._process is not None
        begin = time.monotonic()
        process, self._process = self._process, None
        process.terminate()
        try:
            code = process.wait(STOP_S)
        finally:
            process.kill()
        return code, time.monotonic() - begin

    def kill(self) -> None:
        """SIGKILL, as in a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S)
            self._process = None


def command(path: Path, port: int, host: str = "127.0.0.1") -> list[str]:
    """The command line."""
    module = ("-m", "codeforge.local.qdrant", "--host", host, "--port", str(port), "--path", str(path))
    return [sys.executable, *module]
