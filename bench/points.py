"""Many points for the embedded engine, written into its files without a server between."""

import itertools
import random
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import qdrant_edge as edge

from bench.processes import Processes
from codeforge.local.qdrant.collection import Collection
from codeforge.stores.qdrant_queries import DENSE, TERMS, WORDS
from codeforge.stores.sparse import document_vector

DIM = 256
BATCH = 2_000
TEXTS = 5_000
"""Different texts; each is that of many points, which differ in their vectors."""

WORDS_A_TEXT = 60
VOCABULARY = 20_000
SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "zu")


def vocabulary() -> list[str]:
    """Made-up words, the same in every process."""
    return ["".join(parts) for parts in itertools.islice(itertools.product(SYLLABLES, repeat=4), VOCABULARY)]


def load_points(processes: Processes, data: Path, count: int, deadline_s: float) -> None:
    """Fills the one collection under `data`, whose server does not run, in a process of its own."""
    processes.start("points", "bench.points", str(data), str(count))
    processes.wait_end("points", deadline_s)


def _texts() -> list[tuple[str, dict[str, edge.SparseVector]]]:
    """Texts whose words are as unequal in frequency as those of a language (Zipf), with their sparse vectors."""
    words, chance = vocabulary(), random.Random(7)
    weights = list(itertools.accumulate(1 / rank for rank in range(1, len(words) + 1)))
    found = []
    for _ in range(TEXTS):
        text = " ".join(chance.choices(words, cum_weights=weights, k=WORDS_A_TEXT))
        sparse = document_vector(text)
        ones = [1.0] * len(sparse.indices)
        found.append(
            (
                text,
                {
                    WORDS: edge.SparseVector(sparse.indices, sparse.values),
                    TERMS: edge.SparseVector(sparse.indices, ones),
                },
            )
        )
    return found


def _points(count: int) -> Iterator[list[edge.Point]]:
    texts, numbers, chance = _texts(), np.random.default_rng(11), random.Random(13)
    for start in range(0, count, BATCH):
        dense = numbers.standard_normal((min(BATCH, count - start), DIM), dtype=np.float32)
        dense /= np.linalg.norm(dense, axis=1, keepdims=True)
        batch = []
        for number, vector in enumerate(dense.tolist(), start):
            text, sparse = texts[number % TEXTS]
            payload = {
                "task_id": f"task-{number // 10}", "type": "analysis", "kind": "report", "tenant": "default",
                "url": None, "created_at": number, "text": text,
            }  # fmt: skip
            batch.append(edge.Point(str(uuid.UUID(int=chance.getrandbits(128))), {DENSE: vector, **sparse}, payload))
        yield batch


def main() -> None:
    """`python -m bench.points DATA COUNT`."""
    data, count = Path(sys.argv[1]), int(sys.argv[2])
    (directory,) = [found.parent for found in data.glob("*/collection.json")]
    collection = Collection.load(directory)
    for batch in _points(count):
        collection.write(edge.UpdateOperation.upsert_points(batch))
        collection.flush()
    collection.close()


if __name__ == "__main__":
    main()
