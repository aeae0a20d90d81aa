"""`python -m tests.extraction` measures extraction on the hand-labelled pages and writes docs/extraction.md."""

import logging
from importlib.metadata import version
from pathlib import Path

import trafilatura

from codeforge.web.extraction import extract_html
from tests.extraction.labels import Labelled, labelled_pages
from tests.extraction.measures import Quality, average, quality

REPORT = Path(__file__).parents[2] / "docs" / "extraction.md"
URL = "https://example.org/page"
OURS, TEXT, MARKDOWN = "CodeForge", "trafilatura, text", "trafilatura, Markdown"

INTRODUCTION = """# Extraction

How much of a page's main content `scrape` keeps, and in its form, beside trafilatura {version} on the same pages:
{count} pages in `tests/extraction/pages`, written for this suite and labelled by hand (documentation, news, forum,
shop, wiki, code, tables, cookie banners, heavy navigation, an old layout in tables, German, Japanese). No public
benchmark's data was found in a package. The pages are small and cleaner than the web: the figures compare extractors,
and do not say what share of all pages comes out right.

Precision and recall are of words. *Code* is the share of its lines that are there with their indentation, *tables* of
rows that stand on one line cell by cell, *lists* of items that begin a line with a marker. `python -m tests.extraction`
measures again; `tests/unit/web/test_extraction_quality.py` holds the thresholds.
"""


def measured() -> dict[str, dict[str, Quality]]:
    """By extractor and page."""
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    return {
        OURS: {page.name: quality(page, extract_html(page.source, URL).markdown) for page in labelled_pages()},
        TEXT: {page.name: quality(page, _trafilatura(page, "txt")) for page in labelled_pages()},
        MARKDOWN: {page.name: quality(page, _trafilatura(page, "markdown")) for page in labelled_pages()},
    }


def _trafilatura(page: Labelled, form: str) -> str:
    if form == "txt":
        return trafilatura.extract(page.source, url=URL) or ""
    return trafilatura.extract(page.source, url=URL, output_format=form, include_links=True) or ""


def _row(name: str, one: Quality) -> str:
    shares = (one.precision, one.recall, one.f1, one.code, one.tables, one.lists)
    return f"| {name} | {' | '.join('' if share is None else f'{share:.3f}' for share in shares)} |\n"


def report(results: dict[str, dict[str, Quality]]) -> str:
    """The page."""
    head = "| {} | precision | recall | F1 | code | tables | lists |\n|---|---|---|---|---|---|---|\n"
    parts = [INTRODUCTION.format(version=version("trafilatura"), count=len(results[OURS]))]
    parts += ["\n## All pages\n\n", head.format("extractor")]
    parts += [_row(name, average(list(pages.values()))) for name, pages in results.items()]
    for name, pages in results.items():
        parts += [f"\n## {name}, page by page\n\n", head.format("page")]
        parts += [_row(page, one) for page, one in pages.items()]
    return "".join(parts)


if __name__ == "__main__":
    REPORT.write_text(report(measured()), encoding="utf-8")
