"""Texts as the numbers of their tokens, word by word, each word looked up by the tokenizer once.

wordllama's tokenizer puts a mark for each space and then merges pairs over the whole text. No token of its vocabulary
has the mark anywhere but at its beginning, so nothing is ever merged across the beginning of a word: the tokens of a
text are those of its words, one after the other. A test holds that, and the equality.
"""

import re
from collections.abc import Sequence
from itertools import chain
from typing import Any

SPACE = "\u2581"
"""What the tokenizer writes for a space."""

MAX_WORDS = 20_000
"""Words that are remembered, some 5 MB; when there are more, all are forgotten."""

MAX_WORD_CHARS = 40
"""A longer word is not remembered: most such are addresses, hashes and the like, which do not come again."""

_WORD = re.compile(" ( *[^ ]*)")
"""A word behind the space that it begins with; further spaces before it are its own."""


class Tokens:
    """The numbers of tokens, by a `tokenizers.Tokenizer` that is set to add nothing. For one thread."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._special = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        # A lone space at the end: the tokenizer says nothing of an empty text, which that is without its space.
        self._lone_space: Sequence[int] = (tokenizer.token_to_id(SPACE),)
        self._known: dict[str, Sequence[int]] = {"": self._lone_space}

    def ids(self, text: str) -> list[int]:
        """The text's tokens in order; none of an empty text."""
        if not text:
            return []
        if any(token in text for token in self._special):
            return list(self._encoded([text])[0])  # the tokenizer cuts the text there, and not at words
        words = _words(text.replace(SPACE, " "))
        try:
            return list(chain.from_iterable([self._known[word] for word in words]))
        except KeyError:
            found = self._found(words)
            return list(chain.from_iterable([found[word] for word in words]))

    def _found(self, words: Sequence[str]) -> dict[str, Sequence[int]]:
        """The tokens of each word."""
        found = {word: self._known.get(word) for word in words}
        new = [word for word, ids in found.items() if ids is None]
        looked_up = dict(zip(new, self._encoded(new), strict=True))
        kept = {word: ids for word, ids in looked_up.items() if len(word) <= MAX_WORD_CHARS}
        if len(self._known) + len(kept) > MAX_WORDS:
            self._known = {"": self._lone_space}
        self._known |= kept
        return {word: looked_up[word] if ids is None else ids for word, ids in found.items()}

    def _encoded(self, texts: Sequence[str]) -> list[Sequence[int]]:
        return [tuple(found.ids) for found in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def _words(text: str) -> list[str]:
    """The text's words without the space that each begins with."""
    if "  " in text or text[0] == " ":
        return _WORD.findall(" " + text)
    return text.split(" ")  # the same where there is one space between words, in a quarter of the time
