"""Extraction on hand-labelled pages: never worse than trafilatura's plain output, and better in form."""

import pytest

from tests.extraction.__main__ import MARKDOWN, OURS, REPORT, TEXT, measured, report
from tests.extraction.measures import Quality, average

NOISE = 0.005
"""A word or two, of a page of 200."""

FORMS = ("code", "tables", "cells", "lists")


@pytest.fixture(scope="module")
def results() -> dict[str, dict[str, Quality]]:
    return measured()


def test_the_pages_are_many(results: dict[str, dict[str, Quality]]) -> None:
    assert len(results[OURS]) >= 30


def test_no_page_comes_out_worse_than_plain(results: dict[str, dict[str, Quality]]) -> None:
    worse = {
        name: (round(ours.f1, 3), round(results[TEXT][name].f1, 3))
        for name, ours in results[OURS].items()
        if ours.f1 < results[TEXT][name].f1 - NOISE
    }
    assert worse == {}


def test_nothing_of_the_content_is_missing(results: dict[str, dict[str, Quality]]) -> None:
    ours = average(list(results[OURS].values()))
    assert ours.recall >= 0.995
    assert ours.precision >= 0.97
    assert ours.f1 > average(list(results[TEXT].values())).f1


def test_no_page_s_form_comes_out_worse_than_either_of_its(results: dict[str, dict[str, Quality]]) -> None:
    worse = [
        (name, other, form)
        for name, ours in results[OURS].items()
        for other in (TEXT, MARKDOWN)
        for form in FORMS
        if (getattr(ours, form) or 0) < (getattr(results[other][name], form) or 0)
    ]
    assert worse == []


def test_every_form_is_kept_better(results: dict[str, dict[str, Quality]]) -> None:
    ours = average(list(results[OURS].values()))
    for theirs in (average(list(results[other].values())) for other in (TEXT, MARKDOWN)):
        assert all(getattr(ours, form) > getattr(theirs, form) + 0.05 for form in FORMS)


def test_code_tables_and_lists_keep_their_form(results: dict[str, dict[str, Quality]]) -> None:
    ours = average(list(results[OURS].values()))
    assert all(getattr(ours, form) >= 0.99 for form in FORMS)


def test_the_report_tells_these_figures(results: dict[str, dict[str, Quality]]) -> None:
    """`python -m tests.extraction` writes it."""
    assert REPORT.read_text(encoding="utf-8") == report(results)
