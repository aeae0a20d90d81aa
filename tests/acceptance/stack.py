"""The whole stack as a user starts it, in a subprocess, driven over HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

READY_S = 120.0
STOP_S = 60.0
PORTS = ("--port", "--redis-port", "--bolt-port", "--graph-http-port", "--qdrant-port", "--flower-port")

T = TypeVar("T")


def eventually(check: Callable[[], T | None], what: str | Callable[[], str], timeout_s: float = 60.0) -> T:
    """The first answer of `check` that is true. Raises AssertionError with the last one, and with what `what` tells
    then, when the time is over."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            told = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {timeout_s:.0f} s: {told}; last answer: {value!r}")
        time.sleep(0.05)


def in_time(measure: Callable[[], float], limit_s: float, tries: int = 5) -> bool:
    """Whether one of these tries takes no longer, in seconds. A promised time is what the service takes by itself; on a
    machine that does other things too, any one try may be late."""
    return any(measure() < limit_s for _ in range(tries))


class Stack:
    """A running `codeforge up`."""

    def __init__(self, data_dir: Path, settings: Mapping[str, str], *options: str) -> None:
        self.data_dir = data_dir
        self.ready_file = data_dir.parent / f"{data_dir.name}-ready.json"
        self.output = data_dir.parent / f"{data_dir.name}-output.txt"
        self._settings = settings
        self._options = options
        self.process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client()

    @property
    def ready(self) -> dict[str, Any]:
        """The ready file's content now."""
        content: dict[str, Any] = json.loads(self.ready_file.read_text())
        return content

    def start(self) -> float:
        """Starts it and waits until it is ready; answers after how many seconds."""
        argv = [sys.executable, "-m", "codeforge", "up", "--data-dir", str(self.data_dir)]
        argv += ["--ready-file", str(self.ready_file), *self._options]
        for option in PORTS:
            argv += [option, "0"]
        for name, value in self._settings.items():
            argv += ["--set", f"{name}={value}"]
        started = time.monotonic()
        # The environment of the test run may name settings of its own; the stack must not see them.
        kept = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE")
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                argv, stdout=output, stderr=output, env={name: os.environ[name] for name in kept if name in os.environ}
            )
        eventually(self._is_ready, lambda: f"ready\n{self.output.read_text()[-3000:]}", READY_S)
        self.client = httpx.Client(base_url=self.ready["api"], timeout=20.0, trust_env=False)
        return time.monotonic() - started

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"it ended:\n{self.output.read_text()[-3000:]}"
        return self.ready_file.exists()

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ends it as Ctrl-C does; answers its exit code."""
        assert self.process is not None
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(STOP_S)

    def submit(self, task_type: str, task_input: Mapping[str, Any], **fields: Any) -> str:
        """An accepted task's id."""
        answer = self.client.post("/tasks", json={"type": task_type, "input": task_input, **fields})
        assert answer.status_code == 202, answer.text
        task_id: str = answer.json()["id"]
        return task_id

    def task(self, task_id: str) -> dict[str, Any]:
        """`GET /tasks/{id}`."""
        answer = self.client.get(f"/tasks/{task_id}")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def finished(self, task_id: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """The task once it ended and is stored."""

        def stored() -> dict[str, Any] | None:
            task = self.task(task_id)
            return task if task["stored"] else None

        return eventually(stored, lambda: f"task {task_id} stored: {self.task(task_id)}", timeout_s)

    def queues(self) -> dict[str, dict[str, Any]]:
        """`GET /queues` by type."""
        return {item["type"]: item for item in self.client.get("/queues").json()["items"]}

    def cypher(self, query: str, **parameters: Any) -> Sequence[dict[str, Any]]:
        """A query of the graph by the official driver."""
        from neo4j import GraphDatabase

        ready = self.ready
        auth = (ready["bolt_user"], ready["bolt_password"])
        with GraphDatabase.driver(ready["bolt"], auth=auth) as driver:
            records, _, _ = driver.execute_query(query, parameters)
            return [record.data() for record in records]


@contextmanager
def running_stack(data_dir: Path, settings: Mapping[str, str], *options: str) -> Iterator[Stack]:
    """A stack that is ended whatever happens."""
    stack = Stack(data_dir, settings, *options)
    try:
        stack.start()
        yield stack
    finally:
        if stack.process is not None and stack.process.poll() is None:
            stack.stop()
