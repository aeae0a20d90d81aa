"""A real ArcadeDB for tests, started from the same ProcessSpec as by `codeforge up`."""

import asyncio
import os
import subprocess
import time
from pathlib import Path

from pydantic import SecretStr

from codeforge.local.arcadedb import USER, arcadedb_spec
from codeforge.local.process import ProcessSpec
from tests.servers.valkey import free_port

START_S = 60.0
STOP_S = 60.0
ATTEMPTS = 3


class ArcadeDbServer:
    """One server. It keeps its ports and its data through `kill`, `stop`, `start` and `restart`."""

    def __init__(self, directory: Path, password: str = "a password of tests") -> None:
        self.directory = directory
        self.user = USER
        self.password = SecretStr(password)
        self.port = 0
        self._http_port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """For the driver."""
        return f"bolt://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The running server's process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts it and waits until it answers; does nothing when it runs. Raises RuntimeError with its log."""
        if self.running:
            return
        attempts = 1 if self.port else ATTEMPTS  # another process may take a port between the probe and the start
        for left in reversed(range(attempts)):
            ports = (self.port or free_port(), self._http_port or free_port())
            try:
                self._start(arcadedb_spec(self.directory / "data", *ports, self.password))
            except RuntimeError:
                if not left:
                    raise
            else:
                self.port, self._http_port = ports
                return

    def stop(self) -> float:
        """SIGTERM; seconds until the process has ended."""
        assert self._process is not None
        start = time.monotonic()
        self._process.terminate()
        self._process.wait(STOP_S)
        self._process = None
        return time.monotonic() - start

    def kill(self) -> None:
        """SIGKILL, as in a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S)
            self._process = None

    def restart(self) -> None:
        """A crash and a fresh start on the same ports with the same data; every connection is lost."""
        self.kill()
        self.start()

    def _start(self, spec: ProcessSpec) -> None:
        log = self.directory / "arcadedb.log"
        environment = {"PATH": os.defpath, **spec.env}
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                spec.argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=spec.cwd, env=environment
            )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.running:
            if asyncio.run(_is_ready(spec)):
                return
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"ArcadeDB did not start: {log.read_text(errors='replace')[-3000:]}")


async def _is_ready(spec: ProcessSpec) -> bool:
    try:
        return await spec.ready()
    except OSError:  # nothing listens yet
        return False
