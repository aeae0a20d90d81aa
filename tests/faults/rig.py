"""The service as real processes that can be killed one by one: engines, API, projectors, reapers, workers, a model."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from codeforge.settings import PREFIX
from tests.faults.engines import Engines, running_engines
from tests.faults.paid_model import PaidModel
from tests.servers.celery_worker import ROOT, wait_until
from tests.servers.kubernetes import KubernetesApi
from tests.servers.valkey import free_port

READY_S = 60.0
BATCH = 500
LEASE_S = 3
DRAIN_S = 3
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
WRONG_CLOCK = str(Path(__file__).with_name("wrong_clock"))


@dataclass(frozen=True)
class Setup:
    """What a scenario runs on. `background` is how many projectors and reapers there are; `clocks` are by how many
    seconds the workers' clocks are off, in their order. In a `clustered` one the reapers mark pods."""

    workers: int = 1
    background: int = 1
    module: str = "workers.main"
    proxied: bool = False
    replicated: bool = False
    graph_proxied: bool = False
    clustered: bool = False
    clocks: tuple[int, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


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

    def __init__(self, directory: Path, model: PaidModel, engines: Engines, settings: Mapping[str, str]) -> None:
        self.directory = directory
        self.model = model
        self.engines = engines
        self.cluster = KubernetesApi()
        self.api_port = free_port()
        self.services: dict[str, Service] = {}
        self.accepted: list[str] = []
        self.in_doubt: set[str] = set()  # accepted in a second that the ledger then lost
        self.redis: Any = engines.client()
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        given = {
            **engines.settings, "LLM_BASE_URL": model.url, "API_PORT": str(self.api_port), "LEASE_S": str(LEASE_S),
            "DRAIN_S": str(DRAIN_S), "MAX_CONCURRENT_TASKS": "500", "ALLOW_PRIVATE_HOSTS": "127.0.0.1",
            "FAULTS_DIR": str(directory), **settings,
        }  # fmt: skip
        self._environment = kept | {PREFIX + name: value for name, value in given.items()}
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()

    def add(self, name: str, *command: str, environment: Mapping[str, str] | None = None) -> Service:
        """Starts a process of the project."""
        whole = self._environment | dict(environment or {})
        service = Service(name, [sys.executable, "-m", *command], whole, self.directory / f"{name}.log")
        service.start()
        self.services[name] = service
        return service

    def add_worker(self, name: str, module: str = "workers.main", clock_s: int = 0) -> Service:
        """Starts a worker of all types, whose clock is off by so many seconds."""
        off = {"PYTHONPATH": WRONG_CLOCK, "WRONG_CLOCK_S": str(clock_s)} if clock_s else {}
        return self.add(name, "celery", "-A", module, "worker", "-n", f"{name}@%h", "-l", "INFO", environment=off)

    def follow(self) -> None:
        """Redis failed over: from now on, look at the new master."""
        self.redis.close()
        self.redis = self.engines.client()

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
        self.accepted = list(dict.fromkeys([*self.accepted, *ids]))
        return ids

    def _accepted(self, body: dict[str, Any], key: str) -> list[str]:
        deadline = time.monotonic() + READY_S
        while True:
            answer = self.offer(body, key)
            if answer is not None and answer.status_code == 202:
                return [item["id"] for item in answer.json()["items"]]
            if answer is not None and answer.status_code < 500:
                raise AssertionError(f"refused: {answer.status_code} {answer.text[:300]}")
            assert time.monotonic() < deadline, "a submission was not accepted in time"
            time.sleep(0.1)

    def offer(self, body: dict[str, Any], key: str) -> httpx.Response | None:
        """One try; None when there was no answer."""
        try:
            return httpx.post(
                f"{self.api}/tasks/batch", json=body, headers={"Idempotency-Key": key}, trust_env=False, timeout=10.0
            )
        except httpx.HTTPError:
            return None

    def rows(self, *fields: str) -> dict[str, list[Any]]:
        """These fields of every accepted task."""
        with self.redis.pipeline(transaction=False) as pipe:
            for task_id in self.accepted:
                pipe.hmget(f"cf:task:{task_id}", list(fields))
            return dict(zip(self.accepted, pipe.execute(), strict=True))

    def running(self) -> int:
        """How many tasks run now."""
        return sum(int(self.redis.zcard(f"cf:running:{kind}")) for kind in ("debate", "scrape"))

    def wait_running(self, count: int, timeout_s: float = 60.0) -> None:
        """Until so many tasks run."""
        wait_until(lambda: self.running() >= count, f"{count} running; {self.tail('worker-1')}", timeout_s)

    def wait_leased(self, service: Service) -> None:
        """Until this worker is at work: before that, a signal only ends its start."""

        def leased() -> bool:
            return any(worker.split(":")[1] == str(service.pid) for worker in self.redis.zrange("cf:lease", 0, -1))

        wait_until(leased, f"a lease; {self.tail(service.name)}", READY_S)

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


@contextmanager
def running_rig(directory: Path, shortest_s: float, longest_s: float, setup: Setup) -> Iterator[Rig]:
    """The whole service, ready; all of it is gone afterwards. Model calls take from `shortest_s` to `longest_s`."""
    with ExitStack() as stack:
        engines = stack.enter_context(
            running_engines(
                directory, proxied=setup.proxied, replicated=setup.replicated, graph_proxied=setup.graph_proxied
            )
        )
        model = stack.enter_context(PaidModel(directory / "calls.jsonl", shortest_s, longest_s))
        rig = Rig(directory, model, engines, setup.settings)
        stack.callback(rig.close)
        rig.add("api", "codeforge", "api")
        cluster = _cluster(stack, rig.cluster, directory) if setup.clustered else {}
        for number in range(1, setup.background + 1):
            rig.add(f"projector-{number}", "codeforge", "projector")
            rig.add(f"reaper-{number}", "codeforge", "reaper", environment=cluster)
        for number in range(1, setup.workers + 1):
            clock_s = setup.clocks[number - 1] if setup.clocks else 0
            rig.add_worker(f"worker-{number}", setup.module, clock_s)
        rig.wait_ready(setup.workers)
        yield rig


def _cluster(stack: ExitStack, cluster: KubernetesApi, directory: Path) -> dict[str, str]:
    """Starts its API server; what a reaper must be told of it."""
    server = stack.enter_context(cluster.server())
    told = {
        "SCALABILITY_MODE": "kubernetes", "MARK_BUSY_PODS": "true", "KUBERNETES_API_URL": server.url,
        "KUBERNETES_ACCOUNT_DIR": str(cluster.account(directory / "account")),
    }  # fmt: skip
    return {PREFIX + name: value for name, value in told.items()}
