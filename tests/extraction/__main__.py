"""`python -m tests.extraction` measures extraction on the hand-labelled pages and writes docs/extraction.md."""

import logging
from importlib.metadata import version
from pathlib import Path

import trafilatura

from codeforge.web.extraction import extract_html
from tests.extraction.labels import Labelled, labelled_pages
from tests.extraction.measures import Quality, average, quality
from tests.extraction.metadata import PAGES, Described, ours, theirs

REPORT = Path(__file__).parents[2] / "docs" / "extraction.md"
URL = "https://example.org/page"
OURS, TEXT, MARKDOWN = "CodeForge", "trafilatura, text", "trafilatura, Markdown"

INTRODUCTION = """# Extraction

How much of a page's main content `scrape` keeps, and in its form, beside trafilatura {version} on the same pages:
{count} pages in `tests/extraction/pages`, written for this suite and labelled by hand (documentation, news, forum,
shop, wiki, code, cookie banners, heavy navigation, old layouts in tables, German, Japanese; tables with spans, several
rows of headers, none, lists, code, icons, in tabs and definition lists, infoboxes, long and wide ones). No public
benchmark's data was found in a package. The pages are small and cleaner than the web, and who wrote them knew the
extractor: the figures compare, and do not say what share of all pages comes out right.

Precision and recall are of words. *Code* is the share of its lines that are there with their indentation, *tables* of
rows that stand on one line cell by cell, *cells* of facts that can be looked up in a table, by other cells of their row
and by the words of the header above them, *lists* of items that begin a line with a marker. Rows that spans reach are
measured by cells alone; what a span repeats counts as right, and need not be there. `python -m tests.extraction`
measures again; `tests/unit/web/test_extraction_quality.py` holds the thresholds.

A cell that spans rows or columns stands in each of them, several rows of headers become one (`2024 / Seats`), what
tells of the whole table is its caption, items in a cell are parted by semicolons, an icon says what it is called, and
a table without headers has an empty row of them, unless its first row is bold or has words above columns of numbers.
A table with code of several lines in its cells becomes paragraphs and code, for Markdown's tables cannot hold it. On
tables that are plain already, however long or wide, and on those within layouts, trafilatura is as good.
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
    shares = (one.precision, one.recall, one.f1, one.code, one.tables, one.cells, one.lists)
    return f"| {name} | {' | '.join('' if share is None else f'{share:.3f}' for share in shares)} |\n"


METADATA = """
## Title, author, date

{count} pages, `tests/extraction/metadata.py`, in the forms that the web has: right, or what was found instead.
Languages are not compared: trafilatura only guesses them, with a further package. A date in the address alone, or in
running text, is not looked for here; trafilatura does.

| page | CodeForge | trafilatura |
|---|---|---|
"""


def _told(page: Described, found: tuple[str, str, str]) -> str:
    kinds = zip(("title", "author", "date"), found, page.labels, strict=True)
    return "; ".join(f"{kind}: {got or 'none'}" for kind, got, label in kinds if got != label) or "right"


def described() -> str:
    """The part on metadata."""
    rows = [f"| {page.name} | {_told(page, ours(page))} | {_told(page, theirs(page))} |\n" for page in PAGES]
    return METADATA.format(count=len(PAGES)) + "".join(rows)


def report(results: dict[str, dict[str, Quality]]) -> str:
    """The page."""
    head = "| {} | precision | recall | F1 | code | tables | cells | lists |\n|---|---|---|---|---|---|---|---|\n"
    parts = [INTRODUCTION.format(version=version("trafilatura"), count=len(results[OURS]))]
    parts += ["\n## All pages\n\n", head.format("extractor")]
    parts += [_row(name, average(list(pages.values()))) for name, pages in results.items()]
    parts += [described()]
    for name, pages in results.items():
        parts += [f"\n## {name}, page by page\n\n", head.format("page")]
        parts += [_row(page, one) for page, one in pages.items()]
    return "".join(parts)


if __name__ == "__main__":
    REPORT.write_text(report(measured()), encoding="utf-8")
