"""Tokens word by word are those of the whole text."""

import re
from pathlib import Path
from typing import Any

import pytest

from codeforge.stores.embeddings import builtin, tokens
from codeforge.stores.embeddings.tokens import Tokens

ROOT = Path(__file__).parents[3]

ODD = [
    "",
    " ",
    "   ",
    "one",
    "ends in a space ",
    "ends in three   ",
    "  begins with two",
    "a  b   c    d",
    "\u2581the mark \u2581 itself\u2581\u2581 twice",
    "lines\n\n  and\ttabs \n",
    "<s> and </s> or <unk>, which are tokens",
    "東京 は 大きい",
    "\u0000\u200b \U0001f600 e\u0301",
    "x" * 500 + " " + "y" * 41,
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    loaded = builtin._load(256).tokenizer
    loaded.no_padding()
    return loaded


def test_no_token_has_a_space_anywhere_but_at_its_beginning(tokenizer: Any) -> None:
    inside = re.compile(f"[^{tokens.SPACE}]{tokens.SPACE}")
    assert [token for token in tokenizer.get_vocab() if inside.search(token)] == []


def test_they_are_the_tokens_of_the_whole_text(tokenizer: Any) -> None:
    pages = [path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "codeforge" / "stores").glob("*.py"))]]
    pieces = [page[start : start + 700] for page in pages for start in range(0, len(page), 700)]
    texts = [*ODD, *pieces]
    found = Tokens(tokenizer)
    for text in [*texts, *reversed(texts)]:  # words new, and words known
        assert found.ids(text).tolist() == tokenizer.encode(text, add_special_tokens=False).ids, text


def test_no_more_words_are_remembered_than_the_bound(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MAX_WORDS", 50)
    found = Tokens(tokenizer)
    for number in range(40):
        text = " ".join(f"word{number}x{place} {'long' * 20}{place} " for place in range(number))
        assert found.ids(text).tolist() == tokenizer.encode(text, add_special_tokens=False).ids
        assert len(found._known) <= 50
