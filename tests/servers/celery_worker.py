"""A real Celery worker in a process of its own, as the command line starts it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import redis

from codeforge.broker.message import ring
from codeforge.settings import BARE_NAMES, PREFIX
from codeforge.worker_types import Priority, WorkerType
from tests.patience import PATIENCE_S
from tests.servers.valkey import ValkeyServer

ROOT = Path(__file__).parents[2]


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = PATIENCE_S) -> None:
    """Polls `condition`. Raises AssertionError that says what did not happen."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {deadline_s} s: {what}"
        time.sleep(0.01)


class CeleryWorker:
    """A worker of `app`, whose tasks report on the Redis list `log`. Its own output goes to a file."""

    def __init__(
        self,
        valkey: ValkeyServer,
        directory: Path,
        app: str,
        *options: str,
        worker_type: WorkerType = WorkerType.SCRAPE,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.worker_type = worker_type
        self.redis = redis.Redis.from_url(valkey.url, decode_responses=True)
        self._output = directory / f"worker-{len(list(directory.iterdir()))}.log"
        names = {"REDIS_URL": valkey.url, "WORKER_TYPE": worker_type.value, **(settings or {})}
        environment = _without_settings() | {PREFIX + name: value for name, value in names.items()}
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "--loglevel", "INFO", *options]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                env=environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What it printed so far."""
        return self._output.read_text(errors="replace")

    @property
    def log(self) -> list[str]:
        """What its tasks reported so far, `<event> <task id>` each."""
        return self.redis.lrange("log", 0, -1)  # type: ignore[return-value]  # the client is a synchronous one

    def count(self, event: str) -> int:
        """How many reports of this event there are."""
        return sum(line.startswith(f"{event} ") for line in self.log)

    def wait_ready(self) -> None:
        """Until it consumes."""
        wait_until(lambda: " ready." in self.output or self.process.poll() is not None, "worker ready")
        assert self.process.poll() is None, self.output

    def wait_log(self, *lines: str) -> None:
        """Until all these were reported."""
        wait_until(lambda: set(lines) <= set(self.log), f"{lines} in the log")

    def wait_output(self, text: str) -> None:
        """Until it printed this."""
        wait_until(lambda: text in self.output, f"{text!r} in the output")

    def send(self, task_id: str, priority: Priority = Priority.NORMAL) -> None:
        """Rings for a task."""
        self.push(ring(task_id, self.worker_type, priority).body, priority)

    def push(self, body: bytes | str, priority: Priority = Priority.NORMAL) -> None:
        """Puts these bytes into its queue."""
        self.redis.lpush(ring("any", self.worker_type, priority).queue, body)

    def open(self, gate: str) -> None:
        """Tasks that hold for it go on; see `tests.contract.apps.pool_app`."""
        self.redis.rpush("log", f"open {gate}")

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        self.process.send_signal(number)

    def wait_exit(self) -> int:
        """Until it ended; its exit code."""
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """SIGKILL to it and its children; tests that are about stopping it did so before."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)  # a group of its own, see above
            self.process.wait(PATIENCE_S)
        self.redis.close()


def _without_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX) and name not in BARE_NAMES}
