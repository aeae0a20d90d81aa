"""The built-in embeddings: wordllama out of its wheel."""

import asyncio
import logging
import math
import socket
import subprocess
import sys
from collections.abc import Sequence

import pytest

from codeforge.errors import SettingsError
from codeforge.stores.embeddings import WordLlamaEmbedder


def embed(texts: Sequence[str], dim: int = 256) -> Sequence[Sequence[float]]:
    async def run() -> Sequence[Sequence[float]]:
        embedder = WordLlamaEmbedder(dim)
        assert embedder.dim == dim
        try:
            return await embedder.embed(texts)
        finally:
            await embedder.close()

    return asyncio.run(run())


def likeness(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("dim", [64, 128, 256])
def test_vectors_are_of_unit_length_and_of_the_dimension(dim: int) -> None:
    vectors = embed(["a short text", "", "\u0000\u200b", "long " * 30_000, "東京"], dim)
    assert [len(vector) for vector in vectors] == [dim] * 5
    for vector in vectors:
        assert math.sqrt(likeness(vector, vector)) == pytest.approx(1.0, abs=1e-5)


def test_meaning_counts_more_than_words() -> None:
    kittens, cats, banks = embed(["a kitten drinks milk", "young cats feed from their mother", "the bank lent money"])
    assert likeness(kittens, cats) > likeness(kittens, banks)


def test_a_vector_does_not_depend_on_its_batch() -> None:
    texts = [f"text {n} " + "with more words " * (n % 37) for n in range(200)]
    together = embed(texts)
    alone = [embed([texts[place]])[0] for place in (0, 36, 199)]
    for vector, place in zip(alone, (0, 36, 199), strict=True):
        assert vector == pytest.approx(together[place], abs=1e-5)


def test_nothing_to_embed_is_nothing() -> None:
    assert embed([]) == []


def test_it_makes_no_network_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a network call")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert len(embed(["text"])[0]) == 256


LOADING = """
import asyncio, logging
from codeforge.stores.embeddings import WordLlamaEmbedder
asyncio.run(WordLlamaEmbedder().embed(["text"]))
print(logging.getLogger().handlers, logging.getLogger().level)
"""


def test_loading_it_leaves_the_programs_logging_alone() -> None:
    # In a process of its own: here the package may be loaded, and the root logger set up, already.
    argv = [sys.executable, "-W", "error", "-c", LOADING]
    ended = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout.strip() == f"[] {logging.WARNING}"
    assert ended.stderr == ""


def test_another_dimension_is_a_setting_to_change() -> None:
    with pytest.raises(SettingsError, match="CODEFORGE_EMBEDDINGS_DIM"):
        WordLlamaEmbedder(1_536)


def test_the_event_loop_runs_on_while_it_embeds() -> None:
    async def run() -> int:
        embedder = WordLlamaEmbedder()
        await embedder.embed(["load"])
        work = asyncio.create_task(embedder.embed(["some words of a text " * 40] * 2_000))
        turns = 0
        while not work.done():
            await asyncio.sleep(0)
            turns += 1
        await work
        await embedder.close()
        return turns

    assert asyncio.run(run()) > 10
