"""Texts as the numbers of their tokens, word by word, each word looked up by the tokenizer once.

wordllama's tokenizer puts a mark for each space and then merges pairs over the whole text. No token of its vocabulary
has the mark anywhere but at its beginning, so nothing is ever merged across the beginning of a word: the tokens of a
text are those of its words, one after the other. A test holds that, and the equality.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

SPACE = "\u2581"
"""What the tokenizer writes for a space."""

MAX_WORDS = 20_000
"""Words that are remembered, some 3 MB; when there are more, all are forgotten."""

MAX_WORD_CHARS = 40
"""A longer word is not remembered: most such are addresses, hashes and the like, which do not come again."""

_WORD = re.compile(" ( *[^ ]*)")
"""A word behind the space that it begins with; further spaces before it are its own."""


class Tokens:
    """The numbers of tokens, by a `tokenizers.Tokenizer` that is set to add nothing. For one thread.

    A word's are kept as the bytes of an array: to join them takes half as long as to make an array of a list.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._special = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        # A lone space at the end: the tokenizer says nothing of an empty text, which that is without its space.
        self._lone_space = _packed([tokenizer.token_to_id(SPACE)])
        self._known: dict[str, bytes] = {"": self._lone_space}

    def ids(self, text: str) -> "np.ndarray[Any, np.dtype[np.intp]]":
        """The text's tokens in order; none of an empty text."""
        return np.frombuffer(self._ids(text), np.intp)

    def _ids(self, text: str) -> bytes:
        if not text:
            return b""
        if any(token in text for token in self._special):
            return self._encoded([text])[0]  # the tokenizer cuts the text there, and not at words
        words = _words(text.replace(SPACE, " "))
        try:
            return b"".join([self._known[word] for word in words])
        except KeyError:
            found = self._found(words)
            return b"".join([found[word] for word in words])

    def _found(self, words: Sequence[str]) -> dict[str, bytes]:
        """The tokens of each word."""
        found = {word: self._known.get(word) for word in words}
        new = [word for word, ids in found.items() if ids is None]
        looked_up = dict(zip(new, self._encoded(new), strict=True))
        kept = {word: ids for word, ids in looked_up.items() if len(word) <= MAX_WORD_CHARS}
        if len(self._known) + len(kept) > MAX_WORDS:
            self._known = {"": self._lone_space}
        self._known |= kept
        return {word: looked_up[word] if ids is None else ids for word, ids in found.items()}

    def _encoded(self, texts: Sequence[str]) -> list[bytes]:
        return [_packed(found.ids) for found in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def _packed(ids: Sequence[int]) -> bytes:
    return np.array(ids, np.intp).tobytes()


def _words(text: str) -> list[str]:
    """The text's words without the space that each begins with."""
    if "  " in text or text[0] == " ":
        return _WORD.findall(" " + text)
    return text.split(" ")  # the same where there is one space between words, in a quarter of the time
