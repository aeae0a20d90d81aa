"""The work of one task, as a program without a ledger does it: model calls, then the result into both stores, one
write a task. Shared by the peers; in threads and, with the same statements, on an event loop."""

import asyncio
import os
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import wordllama
from neo4j import AsyncGraphDatabase, GraphDatabase
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from bench.peers.names import COLLECTION

DIM = 256
AT_ONCE = 10_000
TIMEOUT_S = 120.0

WRITE = """
MERGE (t:Task {id: $id}) SET t += $task
MERGE (a:Artifact {id: $artifact}) SET a += $report
MERGE (t)-[:PRODUCED]->(a)
WITH t UNWIND $calls AS call
MERGE (m:ModelCall {id: call.id}) SET m += call.props
MERGE (t)-[:CALLED]->(m)
"""

LABELS = ("Task", "Artifact", "ModelCall")

Answer = Mapping[str, Any]


class Embedder:
    """wordllama's built-in model, one text at a time."""

    def __init__(self) -> None:
        self._model = wordllama.WordLlama.load(
            cache_dir=Path(wordllama.__file__).parent, dim=DIM, disable_download=True
        )
        self._lock = threading.Lock()

    def vector(self, text: str) -> list[float]:
        """A unit vector."""
        with self._lock:
            return self._model.embed([text], norm=True)[0].tolist()  # type: ignore[no-any-return]


def request(question: str) -> dict[str, Any]:
    """What a model is sent."""
    return {"model": "bench", "messages": [{"role": "user", "content": question}], "max_tokens": 1024}


def rows(task_id: str, question: str, answers: Sequence[Answer]) -> dict[str, Any]:
    """The parameters of `WRITE`."""
    calls = [
        {"id": f"{task_id}:{number}", "props": {"model": answer["model"], **answer["usage"]}}
        for number, answer in enumerate(answers)
    ]
    task = {"tenant": "default", "type": "analysis", "state": "succeeded", "input": question}
    report = {"tenant": "default", "kind": "report", "title": question, "content": report_of(answers)}
    return {"id": task_id, "task": task, "artifact": f"{task_id}:report", "report": report, "calls": calls}


def report_of(answers: Sequence[Answer]) -> str:
    """The result."""
    return "\n\n".join(answer["choices"][0]["message"]["content"] for answer in answers)


def point(task_id: str, text: str, vector: Sequence[float]) -> models.PointStruct:
    """The result as a point."""
    payload = {"task_id": task_id, "type": "analysis", "kind": "report", "tenant": "default", "text": text}
    return models.PointStruct(id=str(uuid.uuid5(uuid.NAMESPACE_URL, task_id)), vector=list(vector), payload=payload)


class ThreadedWork:
    """For programs of threads; its clients are shared by all of them."""

    def __init__(self) -> None:
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
        self._http = httpx.Client(base_url=os.environ["MODEL"], limits=limits, timeout=TIMEOUT_S, trust_env=False)
        self._graph = GraphDatabase.driver(
            os.environ["BOLT"], auth=(os.environ["BOLT_USER"], os.environ["BOLT_PASSWORD"])
        )
        self._vectors = QdrantClient(url=os.environ["QDRANT"], check_compatibility=False, timeout=int(TIMEOUT_S))
        self._embedder = Embedder()
        self._writing = threading.Lock()

    def run(self, task_id: str, question: str, calls: int) -> None:
        """One task."""
        answers = []
        for _ in range(calls):
            answer = self._http.post("/chat/completions", json=request(question))
            answers.append(answer.raise_for_status().json())
        self.store(task_id, question, answers)

    def store(self, task_id: str, question: str, answers: Sequence[Answer]) -> None:
        """The result into both stores."""
        with self._writing, self._graph.session() as session:  # at once they conflict, and are done again and again
            session.execute_write(
                lambda transaction: transaction.run(WRITE, rows(task_id, question, answers)).consume()
            )
        text = report_of(answers)
        self._vectors.upsert(COLLECTION, [point(task_id, text, self._embedder.vector(text))], wait=True)


class AsyncWork:
    """For an event loop."""

    def __init__(self) -> None:
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
        self._http = httpx.AsyncClient(base_url=os.environ["MODEL"], limits=limits, timeout=TIMEOUT_S, trust_env=False)
        self._graph = AsyncGraphDatabase.driver(
            os.environ["BOLT"], auth=(os.environ["BOLT_USER"], os.environ["BOLT_PASSWORD"])
        )
        self._vectors = AsyncQdrantClient(url=os.environ["QDRANT"], check_compatibility=False, timeout=int(TIMEOUT_S))
        self._embedder = Embedder()
        self._writing = asyncio.Lock()

    async def run(self, task_id: str, question: str, calls: int) -> None:
        """One task."""
        answers = []
        for _ in range(calls):
            answer = await self._http.post("/chat/completions", json=request(question))
            answers.append(answer.raise_for_status().json())
        async with self._writing, self._graph.session() as session:
            await session.execute_write(_written, rows(task_id, question, answers))
        text = report_of(answers)
        await self._vectors.upsert(COLLECTION, [point(task_id, text, self._embedder.vector(text))], wait=True)


async def _written(transaction: Any, parameters: Mapping[str, Any]) -> None:
    await (await transaction.run(WRITE, parameters)).consume()


def prepare_stores() -> None:
    """The peers' collection, and the unique ids without which each MERGE would look at all nodes."""
    with GraphDatabase.driver(os.environ["BOLT"], auth=(os.environ["BOLT_USER"], os.environ["BOLT_PASSWORD"])) as graph:
        for label in LABELS:
            graph.execute_query(
                f"CREATE CONSTRAINT {label.lower()}_id IF NOT EXISTS FOR (n:{label}) REQUIRE n.id IS UNIQUE"
            )
    client = QdrantClient(url=os.environ["QDRANT"], check_compatibility=False)
    if not client.collection_exists(COLLECTION):
        client.create_collection(
            COLLECTION, vectors_config=models.VectorParams(size=DIM, distance=models.Distance.COSINE)
        )
    client.close()


if __name__ == "__main__":
    prepare_stores()
