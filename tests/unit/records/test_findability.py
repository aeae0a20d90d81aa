"""Pages are found by words that are not in them, with the embeddings that `codeforge up` uses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wordllama
from wordllama import WordLlama

from codeforge.records import records_of
from codeforge.results import ScrapeResult
from codeforge.worker_types import WorkerType
from tests.unit.records.samples import finished, page

PAGES = {
    "bread": ("Baking sourdough at home", "Flour, water and salt are all you need. Fold the dough four times."),
    "kittens": ("Caring for kittens", "Give it a quiet room, a litter tray and a bowl of fresh water."),
    "mortgages": ("How mortgages work", "You pay the bank back each month for thirty years, at a fixed rate."),
    "reefs": ("Coral bleaching", "When the sea stays too warm the polyps expel the algae that feed them."),
    "rome": ("The fall of Rome", "In 476 Odoacer deposed Romulus Augustulus. The legions hired Goths."),
}
FOOTER = "## About\n\nSubscribe to our newsletter. Cookies help us to improve this page. All rights reserved."


@pytest.fixture(scope="module")
def model() -> Any:
    return WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("how do I make a loaf with wild yeast", "bread"),
        ("looking after a young pet feline", "kittens"),
        ("borrowing money to buy a house", "mortgages"),
        ("ocean heat killing marine life", "reefs"),
        ("collapse of an ancient empire", "rome"),
    ],
)
def test_other_words_for_the_same_find_the_right_page_first(model: Any, query: str, expected: str) -> None:
    pages = [
        page(f"https://a.example/{name}", f"{text}\n\n{FOOTER}", title=title) for name, (title, text) in PAGES.items()
    ]
    texts = records_of(finished(WorkerType.SCRAPE, ScrapeResult(pages=pages, failed=[])), []).texts

    vectors = model.embed([text.text for text in texts], norm=True)
    scores = vectors @ model.embed([query], norm=True)[0]

    assert texts[int(np.argmax(scores))].url == f"https://a.example/{expected}"
