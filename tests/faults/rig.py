"""The service as real processes that can be killed one by one: engines, API, projectors, reapers, workers, a model."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import redis

from codeforge.settings import PREFIX
from tests.faults.paid_model import PaidModel
from tests.faults.proxy import Proxy
from tests.servers.arcadedb import ArcadeDbServer
from tests.servers.celery_worker import ROOT, wait_until
from tests.servers.qdrant import QdrantServer
from tests.servers.valkey import ValkeyServer, free_port

READY_S = 60.0
BATCH = 500
LEASE_S = 3
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")


@dataclass
class Service:
    """One process. While it is `kept`, it is started again soon after it died, as a supervisor would."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    output: Path
    kept: bool = True
    starts: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Starts it."""
        self.starts += 1
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, env=dict(self.environment), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """A signal; nothing for one that has ended."""
        if self.process is not None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, to it and to what it started."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)  # a session of its own, see `start`
            self.process.wait(READY_S)


class Rig:
    """All of it. `settings` are without the prefix."""

    def __init__(self, directory: Path, model: PaidModel, engines: "Engines", settings: Mapping[str, str]) -> None:
        self.directory = directory
        self.model = model
        self.engines = engines
        self.api_port = free_port()
        self.services: dict[str, Service] = {}
        self.accepted: list[str] = []
        self.redis = redis.Redis.from_url(engines.valkey.url, decode_responses=True, health_check_interval=1)
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        given = {**engines.settings, "LLM_BASE_URL": model.url, "API_PORT": str(self.api_port), **settings}
        self._environment = kept | {PREFIX + name: value for name, value in given.items()}
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()

    def add(self, name: str, *command: str, **settings: str) -> Service:
        """Starts a process of the project."""
        own = {PREFIX + key: value for key, value in settings.items()}
        service = Service(
            name, [sys.executable, "-m", *command], self._environment | own, self.directory / f"{name}.log"
        )
        service.start()
        self.services[name] = service
        return service

    def add_worker(self, name: str, module: str = "workers.main", **settings: str) -> Service:
        """Starts a worker of all types."""
        return self.add(name, "celery", "-A", module, "worker", "-n", f"{name}@%h", "-l", "INFO", **settings)

    def wait_ready(self, workers: int) -> None:
        """Until the API is ready and so many workers hold a lease."""
        wait_until(self._is_ready, f"API ready; {self.tail('api')}", READY_S)
        wait_until(lambda: int(self.redis.zcard("cf:lease")) >= workers, f"leases; {self.tail('worker-1')}", READY_S)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.api}/readyz", trust_env=False, timeout=5.0).status_code == 200
        except httpx.HTTPError:
            return False

    @property
    def api(self) -> str:
        """The front door."""
        return f"http://127.0.0.1:{self.api_port}"

    def tail(self, name: str) -> str:
        """The end of a process's output."""
        path = self.directory / f"{name}.log"
        return path.read_text(errors="replace")[-1500:] if path.exists() else "(no output)"

    def submit(self, bodies: list[dict[str, Any]], key: str) -> list[str]:
        """Batches, each repeated under its Idempotency-Key until it is accepted; the ids."""
        ids: list[str] = []
        for start in range(0, len(bodies), BATCH):
            ids += self._accepted({"tasks": bodies[start : start + BATCH]}, f"{key}-{start}")
        self.accepted += ids
        return ids

    def _accepted(self, body: dict[str, Any], key: str) -> list[str]:
        deadline = time.monotonic() + READY_S
        while True:
            try:
                answer = httpx.post(
                    f"{self.api}/tasks/batch",
                    json=body,
                    headers={"Idempotency-Key": key},
                    trust_env=False,
                    timeout=10.0,
                )
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code == 202:
                return [item["id"] for item in answer.json()["items"]]
            if answer is not None and answer.status_code < 500:
                raise AssertionError(f"refused: {answer.status_code} {answer.text[:300]}")
            assert time.monotonic() < deadline, "a submission was not accepted in time"
            time.sleep(0.1)

    def rows(self, *fields: str) -> dict[str, list[Any]]:
        """These fields of every accepted task."""
        with self.redis.pipeline(transaction=False) as pipe:
            for task_id in self.accepted:
                pipe.hmget(f"cf:task:{task_id}", list(fields))
            return dict(zip(self.accepted, pipe.execute(), strict=True))

    def running(self) -> int:
        """How many tasks run now."""
        return sum(int(self.redis.zcard(f"cf:running:{kind}")) for kind in ("debate", "scrape"))

    def wait_running(self, count: int, timeout_s: float = 30.0) -> None:
        """Until so many tasks run."""
        wait_until(lambda: self.running() >= count, f"{count} running; {self.tail('worker-1')}", timeout_s)

    def _keep(self) -> None:
        while not self._closing.wait(0.1):
            for service in list(self.services.values()):
                if service.kept and not service.alive and not self._closing.is_set():
                    service.start()

    def close(self) -> None:
        """Ends every process that it started."""
        self._closing.set()
        self._keeper.join(READY_S)
        for service in self.services.values():
            service.send(signal.SIGCONT)
            service.kill()
        self.redis.close()


@dataclass
class Engines:
    """Engines of one run, and what leads to them."""

    valkey: ValkeyServer
    graph: ArcadeDbServer
    vectors: QdrantServer
    proxy: Proxy | None

    @property
    def settings(self) -> dict[str, str]:
        """For the project's processes."""
        port = self.valkey.port if self.proxy is None else self.proxy.port
        return {
            "REDIS_URL": f"redis://127.0.0.1:{port}/0",
            "NEO4J_URI": self.graph.uri,
            "NEO4J_USER": self.graph.user,
            "NEO4J_PASSWORD": self.graph.password.get_secret_value(),
            "QDRANT_URL": self.vectors.url,
            "LEASE_S": str(LEASE_S),
            "DRAIN_S": "3",
            "MAX_CONCURRENT_TASKS": "500",
            "ALLOW_PRIVATE_HOSTS": "127.0.0.1",
        }


@contextmanager
def running_rig(
    directory: Path, *, longest_s: float, workers: int = 1, module: str = "workers.main", proxied: bool = False,
    background: int = 1, settings: Mapping[str, str] | None = None,
) -> Iterator[Rig]:  # fmt: skip
    """The whole service, ready; all of it is gone afterwards."""
    engines = Engines(*_servers(directory), None)
    with ExitStack() as stack:
        for server in (engines.valkey, engines.graph, engines.vectors):
            stack.callback(server.kill)
        _in_parallel(engines.valkey.start, engines.graph.start, engines.vectors.start)
        if proxied:
            engines.proxy = stack.enter_context(Proxy(engines.valkey.port))
        model = stack.enter_context(PaidModel(directory / "calls.jsonl", 0.1, longest_s))
        rig = Rig(directory, model, engines, settings or {})
        stack.callback(rig.close)
        rig.add("api", "codeforge", "api")
        for number in range(1, background + 1):
            rig.add(f"projector-{number}", "codeforge", "projector")
            rig.add(f"reaper-{number}", "codeforge", "reaper")
        for number in range(1, workers + 1):
            rig.add_worker(f"worker-{number}", module)
        rig.wait_ready(workers)
        yield rig


def _servers(directory: Path) -> tuple[ValkeyServer, ArcadeDbServer, QdrantServer]:
    places = [directory / name for name in ("redis", "graph", "vectors")]
    for place in places:
        place.mkdir(parents=True)
    return ValkeyServer(places[0]), ArcadeDbServer(places[1]), QdrantServer(places[2])


def _in_parallel(*starts: Callable[[], None]) -> None:
    failures: list[BaseException] = []

    def run(start: Callable[[], None]) -> None:
        try:
            start()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(start,)) for start in starts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
