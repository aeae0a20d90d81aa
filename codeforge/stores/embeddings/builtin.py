"""Embeddings on this machine: wordllama's averaged word vectors, out of the wheel, without a download."""

import asyncio
import logging
from array import array
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from codeforge.errors import EmbeddingsUnavailable, SettingsError
from codeforge.stores.embeddings.tokens import Tokens

WHEEL_DIM = 256
"""The dimension of the weights in the wheel; their first 64 or 128 numbers serve as smaller vectors."""

DIMS = (64, 128, WHEEL_DIM)
BUILT_IN_MODEL = "wordllama/l2_supercat"
"""The name under which a collection remembers what filled it."""

MAX_TEXT_CHARS = 20_000
"""What counts of one text; an average of more words than that hardly moves."""


def check_dim(dim: int) -> None:
    """Raises SettingsError, naming CODEFORGE_EMBEDDINGS_DIM, for a dimension that these embeddings do not have."""
    if dim not in DIMS:
        raise SettingsError(
            f"CODEFORGE_EMBEDDINGS_DIM: {dim}, but the built-in embeddings have {', '.join(map(str, DIMS))};"
            " set CODEFORGE_EMBEDDINGS_BASE_URL for a model of another dimension"
        )


class WordLlamaEmbedder:
    """An `Embedder` of 64, 128 or 256 dimensions. The model is loaded at the first use, in the one thread that embeds.

    Raises SettingsError, naming CODEFORGE_EMBEDDINGS_DIM, for any other dimension.
    """

    def __init__(self, dim: int = WHEEL_DIM) -> None:
        check_dim(dim)
        self._dim = dim
        self._thread = ThreadPoolExecutor(1, "embeddings")
        self._words: _Words | None = None

    @property
    def dim(self) -> int:
        """See `Embedder.dim`."""
        return self._dim

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """See `Embedder.embed`. A text without a word gets a constant vector."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._embed, list(texts))

    async def close(self) -> None:
        """Lets the thread end once what it does is done."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _embed(self, texts: list[str]) -> list["array[float]"]:
        if self._words is None:
            self._words = _Words(_load(self._dim))
        vectors = np.empty((len(texts), self._dim), dtype=np.float32)
        for place, text in enumerate(texts):
            vectors[place] = self._words.direction(text[:MAX_TEXT_CHARS])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        # Single precision, as they are stored: lists of Python's floats would be made and packed again for each point.
        return [array("f", vector.tobytes()) for vector in vectors]


class _Words:
    """wordllama's model of a text: the average of its tokens' vectors.

    It is what `WordLlama.embed` computes, text by text: that pads texts to the longest of a batch and multiplies out
    the padding, which with its encodings of whole texts took seven times the processor time (0.32 ms a text of 600
    characters, and 0.045 ms here).
    """

    def __init__(self, model: Any) -> None:
        model.tokenizer.no_padding()
        self._tokens = Tokens(model.tokenizer)
        self._vectors = model.embedding

    def direction(self, text: str) -> Any:
        """The vector, of any length but 0; a constant one when the text has no token."""
        ids = self._tokens.ids(text)
        # A product of ones adds up faster than `sum` does along this axis.
        total = np.ones(len(ids), dtype=np.float32) @ self._vectors.take(ids, axis=0) if len(ids) else None
        return total if total is not None and total.any() else 1.0


def _load(dim: int) -> Any:
    """The model. The folder is given, for the package looks for its tokenizer beside its weights only then."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        import wordllama  # here, and not above: 30 MB and 0.5 s for processes that never embed

        folder = Path(wordllama.__file__).parent
        return wordllama.WordLlama.load(
            cache_dir=folder, dim=WHEEL_DIM, trunc_dim=None if dim == WHEEL_DIM else dim, disable_download=True
        )
    except (ImportError, OSError, ValueError) as error:
        raise EmbeddingsUnavailable(f"the built-in embeddings cannot be loaded: {error}", retryable=False) from error
    finally:
        # Its import sets up the root logger, which is the program's to do.
        root.handlers[:] = handlers
        root.setLevel(level)
