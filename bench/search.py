"""Search: the latency of `GET /search` among many points, on the embedded engine."""

import random
import statistics
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import httpx

from bench.points import load_points, vocabulary
from bench.processes import Processes, family, memory_mb
from bench.scale import Scale
from bench.turns import Turns
from tests.servers.qdrant import QdrantServer

NAME = "search"
LOAD_S = 300.0
WORDS = 5


def contender(points: int) -> str:
    """Its name."""
    return f"{points:,} points"


def measure(turns: Turns) -> None:
    """Each size on an engine of its own, loaded once and asked in every round."""
    piece = turns.piece(NAME)
    for points in turns.scale.points:
        name = contender(points)
        if turns.complete(piece, {name: turns.scale.rounds}):
            continue
        with tempfile.TemporaryDirectory(prefix="bench-") as directory, Processes(Path(directory)) as processes:
            began = time.monotonic()
            server = _loaded(Path(directory), processes, points)
            try:
                piece.notes[f"loading {name}"] = f"{time.monotonic() - began:.0f} s"
                url = _api(processes, server)
                turns.take(piece, {name: turns.scale.rounds}, {name: partial(_asked, url, server, turns.scale)})
            finally:
                server.kill()


def _loaded(place: Path, processes: Processes, points: int) -> QdrantServer:
    """A server over a collection that was made by the service and filled past its HTTP interface."""
    server = QdrantServer(place)
    server.start()
    processes.start("prepare", "bench.ours.stores", "vectors", env={"CODEFORGE_QDRANT_URL": server.url})
    processes.wait_end("prepare", LOAD_S)
    server.stop()
    load_points(processes, place / "data", points, LOAD_S)
    server.start()
    return server


def _api(processes: Processes, server: QdrantServer) -> str:
    environment = {"CODEFORGE_QDRANT_URL": server.url, "CODEFORGE_REDIS_URL": "redis://127.0.0.1:9/0"}
    port = processes.serve("api", lambda port: (["codeforge", "api"], environment | {"CODEFORGE_API_PORT": str(port)}))
    return f"http://127.0.0.1:{port}/search"


def _asked(url: str, server: QdrantServer, scale: Scale) -> Mapping[str, float]:
    """One client, one question after another, each of other words."""
    words, chance = vocabulary(), random.Random(1)
    took_ms = []
    with httpx.Client(timeout=60.0, trust_env=False) as client:
        for number in range(-2, scale.queries):  # two to warm up: the model of the embeddings is loaded by the first
            question = " ".join(chance.choices(words, k=WORDS))
            began = time.monotonic()
            answer = client.get(url, params={"q": question, "limit": 10})
            answer.raise_for_status()
            if number >= 0:
                took_ms.append((time.monotonic() - began) * 1_000)
            if len(answer.json()["items"]) != 10:
                raise RuntimeError("a search found fewer points than it was asked for")
    return {
        "p50_ms": statistics.median(took_ms),
        "p99_ms": statistics.quantiles(took_ms, n=100, method="inclusive")[98],
        "server_mb": memory_mb(family(server.pid)),
    }
