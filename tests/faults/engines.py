"""The engines of one run: Redis alone, behind a proxy, or with a replica and a Sentinel; the graph; the vectors."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.faults.proxy import Proxy
from tests.servers.arcadedb import ArcadeDbServer
from tests.servers.qdrant import QdrantServer
from tests.servers.replicated import ReplicatedValkey
from tests.servers.valkey import ValkeyServer

TIMEOUT_S = 60.0


@dataclass
class Engines:
    """They, and what leads to them. `valkey` is the server that was the master at first."""

    valkey: ValkeyServer
    graph: ArcadeDbServer
    vectors: QdrantServer
    replicated: ReplicatedValkey | None = None
    proxy: Proxy | None = None
    graph_proxy: Proxy | None = None

    @property
    def settings(self) -> dict[str, str]:
        """For the project's processes."""
        port = self.valkey.port if self.proxy is None else self.proxy.port
        direct = f"redis://127.0.0.1:{port}/0"
        return {
            "REDIS_URL": direct if self.replicated is None else self.replicated.url,
            "NEO4J_URI": self.graph.uri if self.graph_proxy is None else f"bolt://127.0.0.1:{self.graph_proxy.port}",
            "NEO4J_USER": self.graph.user,
            "NEO4J_PASSWORD": self.graph.password.get_secret_value(),
            "QDRANT_URL": self.vectors.url,
        }

    def client(self, *, decode: bool = True) -> "redis.Redis":
        """A client of the server that is the master now, past every proxy."""
        password = None
        master = self.valkey
        if self.replicated is not None:
            master, password = self.replicated.master, self.replicated.password
        return redis.Redis(
            port=master.port, password=password, decode_responses=decode, health_check_interval=1,
            socket_timeout=TIMEOUT_S,
        )  # fmt: skip


@contextmanager
def running_engines(directory: Path, *, proxied: bool, replicated: bool, graph_proxied: bool) -> Iterator[Engines]:
    """All of them, ready; gone afterwards."""
    places = {name: directory / name for name in ("redis", "graph", "vectors")}
    for place in places.values():
        place.mkdir(parents=True)
    with ExitStack() as stack:
        pair = stack.enter_context(ReplicatedValkey(places["redis"])) if replicated else None
        valkey = pair.servers[0] if pair else ValkeyServer(places["redis"])
        engines = Engines(valkey, ArcadeDbServer(places["graph"]), QdrantServer(places["vectors"]), pair)
        servers = (engines.valkey, engines.graph, engines.vectors)
        for server in servers:
            stack.callback(server.kill)
        _in_parallel(*(server.start for server in servers))
        if proxied:
            engines.proxy = stack.enter_context(Proxy(engines.valkey.port))
        if graph_proxied:
            engines.graph_proxy = stack.enter_context(Proxy(int(engines.graph.uri.rpartition(":")[2])))
        yield engines


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
