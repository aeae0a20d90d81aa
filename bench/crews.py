"""Who runs the tasks: this service and its peers, each started, given tasks, and asked how many are done."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx
import redis

from bench.backlog import load_backlog
from bench.processes import PEERS_PYTHON, Processes, wait_until
from codeforge.worker_types import WorkerType
from tests.servers.valkey import free_port

QUESTION = "What is known of the question that this task is about, and how sure is it?"
SUBMIT_S = 600.0
BATCH = 1_000
CELERY, ARQ, DRAMATIQ, OURS = "Celery, threads", "arq", "dramatiq", "CodeForge"


@dataclass(frozen=True, slots=True)
class Job:
    """`agents` at once in `processes` worker processes; each task makes `calls` model calls, none for empty tasks.
    `environment` leads to the engines and the model's service; `stored` says that results go into both stores."""

    agents: int
    processes: int
    calls: int
    redis_url: str
    model_url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    stored: bool = False


class Crew(Protocol):
    """One contender. `workers` are the names of its worker processes, `others` of what else it needs to work."""

    workers: list[str]
    others: list[str]

    def launch(self) -> None:
        """Starts the workers and what else is needed."""
        ...

    def wait_ready(self) -> None:
        """Returns when they wait for tasks."""
        ...

    def submit(self, count: int) -> None:
        """Enqueues so many tasks, the way its users do."""
        ...

    def done(self, submitted: int) -> int:
        """How many of the submitted tasks are finished, and stored where results are."""
        ...


class Peer:
    """A peer: a program of `bench.peers` that is a worker, and that submits when it is run by itself."""

    def __init__(self, name: str, processes: Processes, job: Job) -> None:
        self.workers: list[str] = []
        self.others: list[str] = []
        self._name = name
        self._processes = processes
        self._job = job
        self._redis = redis.Redis.from_url(job.redis_url)
        self._python = Path(sys.executable) if name == CELERY else PEERS_PYTHON
        share = job.agents // job.processes
        self._environment = {
            **job.environment, "REDIS": job.redis_url, "MODEL": job.model_url, "CALLS": str(job.calls),
            "QUESTION": QUESTION, "AGENTS": str(share),
        }  # fmt: skip
        if not self._python.exists():
            raise RuntimeError(f"{self._python} is not there: `make bench` makes it")

    def launch(self) -> None:
        """See `Crew.launch`."""
        if self._job.stored:
            self._program("stores", "bench.peers.work")
        share = str(self._job.agents // self._job.processes)
        if self._name == DRAMATIQ:  # one command, which forks its worker processes
            options = ["--processes", str(self._job.processes), "--threads", share]
            self._worker(DRAMATIQ, "dramatiq", "bench.peers.dramatiq_worker", *options)
            return
        for number in range(self._job.processes):
            if self._name == ARQ:
                self._worker(f"arq-{number}", "arq", "bench.peers.arq_worker.WorkerSettings")
            else:
                options = ["--pool", "threads", "--concurrency", share, "-n", f"{number}@%h", "--loglevel", "INFO"]
                self._worker(f"celery-{number}", "celery", "-A", "bench.peers.celery_worker", "worker", *options)

    def wait_ready(self) -> None:
        """See `Crew.wait_ready`."""
        word = {CELERY: " ready.", ARQ: "Starting worker", DRAMATIQ: "ready for action"}[self._name]
        times = self._job.processes if self._name == DRAMATIQ else 1
        for name in self.workers:
            self._processes.wait_output(name, word, times)

    def submit(self, count: int) -> None:
        """See `Crew.submit`."""
        module = {CELERY: "bench.peers.celery_worker", ARQ: "bench.peers.arq_worker"}
        self._program("submit", module.get(self._name, "bench.peers.dramatiq_worker"), str(count))

    def done(self, submitted: int) -> int:
        """See `Crew.done`. Empty tasks count nothing themselves: what is left in the broker tells."""
        if self._job.calls:
            return int(self._redis.get("done") or 0)
        left: Any = {
            CELERY: lambda: self._redis.llen("celery") + self._redis.hlen("unacked"),
            ARQ: lambda: self._redis.zcard("arq:queue"),
            DRAMATIQ: lambda: self._redis.hlen("dramatiq:default.msgs"),
        }[self._name]()
        return submitted - int(left)

    def _worker(self, name: str, *module: str) -> None:
        self.workers.append(name)
        self._processes.start(name, *module, env=self._environment, python=self._python)

    def _program(self, name: str, *module: str) -> None:
        self._processes.start(name, *module, env=self._environment, python=self._python)
        self._processes.wait_end(name, SUBMIT_S)


class CodeForge:
    """This service: workers with the agent of `bench.ours`, reaper, and what submits and stores where that is asked."""

    def __init__(self, processes: Processes, job: Job) -> None:
        self.workers: list[str] = []
        self.others: list[str] = []
        self._processes = processes
        self._job = job
        self._redis = redis.Redis.from_url(job.redis_url)
        share = str(job.agents // job.processes)
        self._environment = {
            **job.environment,
            "CODEFORGE_REDIS_URL": job.redis_url,
            "CODEFORGE_LLM_BASE_URL": job.model_url,
            "CODEFORGE_LLM_MODEL": "bench",
            "CODEFORGE_WORKER_TYPE": WorkerType.ANALYSIS.value,
            "CODEFORGE_MAX_CONCURRENT_TASKS": share,
            "CODEFORGE_LLM_MAX_CONNECTIONS": share,
            "MALLOC_ARENA_MAX": "2",  # as `codeforge up` and the images have it
            "CALLS": str(job.calls),
        }
        self._api = ""

    def launch(self) -> None:
        """See `Crew.launch`."""
        self._other("reaper", "codeforge", "reaper")
        if self._job.stored:
            self._other("projector", "codeforge", "projector")
            port = free_port()
            self._other("api", "codeforge", "api", CODEFORGE_API_PORT=str(port))
            self._processes.wait_port("api", port)
            self._api = f"http://127.0.0.1:{port}"
        for number in range(self._job.processes):
            name = f"worker-{number}"
            self.workers.append(name)
            module = ["celery", "-A", "bench.ours.worker", "worker", "-n", f"{name}@%h", "-l", "INFO"]
            self._processes.start(name, *module, env=self._environment)

    def wait_ready(self) -> None:
        """See `Crew.wait_ready`."""
        wait_until(lambda: self._leases() >= self._job.processes, "leases of the workers")

    def submit(self, count: int) -> None:
        """See `Crew.submit`. Empty tasks are measured without the front door, like the peers'."""
        if not self._api:
            load_backlog(self._job.redis_url, count, WorkerType.ANALYSIS)
            return
        task = {"type": "analysis", "input": {"question": QUESTION, "search": "none"}}
        with httpx.Client(timeout=60.0, trust_env=False) as client:
            for start in range(0, count, BATCH):
                body = {"tasks": [task] * min(BATCH, count - start)}
                client.post(f"{self._api}/tasks/batch", json=body).raise_for_status()

    def done(self, submitted: int) -> int:
        """See `Crew.done`."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hget("cf:stats", "finished:analysis:succeeded")
            for partition in range(4):
                pipe.xlen(f"cf:outbox:{partition}")
            finished, *waiting = pipe.execute()
        return int(finished or 0) - (sum(waiting) if self._job.stored else 0)

    def _leases(self) -> int:
        return int(self._redis.zcard("cf:lease"))

    def _other(self, name: str, *module: str, **environment: str) -> None:
        self.others.append(name)
        self._processes.start(name, *module, env=self._environment | environment)


def crew_of(name: str, processes: Processes, job: Job) -> Crew:
    """The contender of this name."""
    return CodeForge(processes, job) if name == OURS else Peer(name, processes, job)


PEERS: Sequence[str] = (CELERY, ARQ, DRAMATIQ)
