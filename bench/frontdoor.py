"""The front door: submissions per second and their latency with 32 clients, beside the limit and two naive ways."""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.backlog import load_backlog, settled
from bench.load import post
from bench.processes import Processes
from bench.turns import Measure, Turns
from tests.servers.valkey import ValkeyServer

NAME = "frontdoor"

BARE = "bare ASGI and one pipeline"
OURS = "CodeForge"
KEYED = "CodeForge, Idempotency-Key"
BACKLOG = "CodeForge, behind a backlog"
BATCH = "CodeForge, batches of 100"
NAIVE = "FastAPI and apply_async"
FLOWER = "Flower's HTTP API"

BATCH_SIZE = 100
TASK: Mapping[str, Any] = {"type": "debate", "input": {"question": "?", "positions": ["yes", "no"], "rounds": 1}}
TASKS = {"tasks": [TASK] * BATCH_SIZE}
FLOWER_LOGIN = {"Authorization": "Basic YmVuY2g6YmVuY2g="}  # bench:bench
FLOWER_TASK = {"args": ["debate", TASK["input"]]}
SERVERS = {
    BARE: "bare",
    OURS: "ours",
    KEYED: "ours",
    BACKLOG: "backlog",
    BATCH: "ours",
    NAIVE: "naive",
    FLOWER: "flower",
}


def measure(turns: Turns) -> None:
    """All contenders in turns. Each has a Redis of its own, emptied before each run; one of ours has a backlog."""
    piece = turns.piece(NAME)
    rounds = dict.fromkeys(SERVERS, turns.scale.rounds)
    if turns.complete(piece, rounds):
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, ExitStack() as stack:
        place = Path(directory)
        processes = stack.enter_context(Processes(place))
        servers = {name: _server(place, name, stack) for name in dict.fromkeys(SERVERS.values())}
        seconds = load_backlog(servers["backlog"].url, turns.scale.backlog)
        settled(servers["backlog"].url)
        piece.notes["backlog"] = f"{turns.scale.backlog:,}"
        print(f"  loaded {turns.scale.backlog:,} tasks in {seconds:.0f} s", flush=True)
        turns.take(piece, rounds, _contenders(processes, servers, turns.scale.seconds))


def _server(place: Path, name: str, stack: ExitStack) -> ValkeyServer:
    directory = place / f"redis-{name}"
    directory.mkdir()
    server = ValkeyServer(directory)
    server.start()
    stack.callback(server.kill)
    return server


def _contenders(processes: Processes, servers: Mapping[str, ValkeyServer], seconds: float) -> dict[str, Measure]:
    api, behind = (f"http://127.0.0.1:{_api(processes, name, servers[name])}" for name in ("ours", "backlog"))
    bare, naive = (f"http://127.0.0.1:{_peer(processes, name, servers[name])}/tasks" for name in ("bare", "naive"))
    flower = f"http://127.0.0.1:{_flower(processes, servers['flower'])}/api/task/async-apply/naive.run"
    salts = iter(range(1_000_000))

    def run(
        name: str, url: str, body: Mapping[str, Any], *, tasks: int = 1, headers: Mapping[str, str] | None = None
    ) -> Measure:
        def measured() -> Mapping[str, float]:
            if name != BACKLOG:
                servers[SERVERS[name]].flush()
            salt = f"run-{next(salts)}-" if name == KEYED else None
            post(processes.directory, url, body, 1, headers=headers)  # scripts loaded, connections and bindings made
            load = post(processes.directory, url, body, seconds, salt=salt, headers=headers)
            return load.figures | {"tasks_per_s": load.per_s * tasks}

        return measured

    return {
        BARE: run(BARE, bare, TASK),
        OURS: run(OURS, f"{api}/tasks", TASK),
        KEYED: run(KEYED, f"{api}/tasks", TASK),
        BACKLOG: run(BACKLOG, f"{behind}/tasks", TASK),
        BATCH: run(BATCH, f"{api}/tasks/batch", TASKS, tasks=BATCH_SIZE),
        NAIVE: run(NAIVE, naive, TASK),
        FLOWER: run(FLOWER, flower, FLOWER_TASK, headers=FLOWER_LOGIN),
    }


def _api(processes: Processes, name: str, server: ValkeyServer) -> int:
    settings = {"REDIS_URL": server.url, "LLM_BASE_URL": "http://127.0.0.1:9/v1", "LLM_MODEL": "none"}
    environment = {f"CODEFORGE_{key}": value for key, value in settings.items()}
    return processes.serve(
        f"api-{name}", lambda port: (["codeforge", "api"], environment | {"CODEFORGE_API_PORT": str(port)})
    )


def _peer(processes: Processes, name: str, server: ValkeyServer) -> int:
    modules = {"bare": "bench.peers.bare", "naive": "bench.peers.naive_api"}
    return processes.serve(name, lambda port: ([modules[name]], {"REDIS": server.url, "PORT": str(port)}))


def _flower(processes: Processes, server: ValkeyServer) -> int:
    module = [
        "celery",
        "-A",
        "bench.peers.naive_api:celery",
        "flower",
        "--address=127.0.0.1",
        "--basic-auth=bench:bench",
    ]
    return processes.serve("flower", lambda port: ([*module, f"--port={port}"], {"REDIS": server.url}))
