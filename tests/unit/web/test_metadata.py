"""What a page says of itself, in the forms of the web, and beside trafilatura; no JSON-LD is its reader's death."""

import pytest

from codeforge.results import Page
from codeforge.web.dates import day_of
from codeforge.web.document import Download, read_page
from codeforge.web.extraction import extract_html
from codeforge.web.json_ld import MAX_JSON_LD, MAX_JSON_LD_CHARS
from codeforge.web.media_type import MediaType
from codeforge.web.metadata import MAX_AUTHOR_CHARS
from tests.extraction.metadata import PAGES, URL, Described, ours, theirs


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_told_as_a_reader_would(page: Described) -> None:
    assert ours(page) == page.labels
    assert extract_html(page.source, URL).metadata.language == page.language


def test_no_page_is_told_worse_than_by_trafilatura() -> None:
    assert sum(ours(page) == page.labels for page in PAGES) > sum(theirs(page) == page.labels for page in PAGES)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-05-03", "2024-05-03"),
        ("2024-05-03T23:59:59.123+02:00", "2024-05-03"),
        ("2024-05-03 10:00", "2024-05-03"),
        ("20240503", "2024-05-03"),
        ("2024/05/03", "2024-05-03"),
        ("May 3, 2024", "2024-05-03"),
        ("Friday, May 3rd, 2024 at 10:00", "2024-05-03"),
        ("3 May 2024", "2024-05-03"),
        ("3rd of May, 2024", "2024-05-03"),
        ("Sept. 3, 2024", "2024-09-03"),
        ("3. März 2024", "2024-03-03"),
        ("Fri, 03 May 2024 10:00:00 GMT", "2024-05-03"),
        ("03/04/2024", ""),
        ("2024-02-30", ""),
        ("2024", ""),
        ("0000-00-00", ""),
        ("yesterday", ""),
        ("1" * 100_000, ""),
        ("May " * 50_000, ""),
    ],
)
def test_days(text: str, day: str) -> None:
    assert day_of(text) == day


def _read(script: str) -> Page:
    """The page, as it comes through the pipe of the process that reads it."""
    source = f'<title>T</title><script type="application/ld+json">{script}</script><p>Some text.</p>'
    download = Download(URL, URL, 200, MediaType("text/html", "utf-8"), source.encode())
    page, _ = read_page(download, judged=False)
    return Page.model_validate_json(page.model_dump_json())


@pytest.mark.parametrize(
    ("script", "kept"),
    [
        pytest.param('{"name":"a\\ud83d"}', [{"name": "a?"}], id="half a character"),
        pytest.param('{"a":' + "[" * 250 + "]" * 250 + "}", [], id="deeper than its readers"),
        pytest.param('{"a":' + "[" * 900 + "]" * 900 + "}", [], id="deeper than its writers"),
        pytest.param('{"a":' + "[" * 20_000, [], id="deep and open"),
        pytest.param('{"a":1e999,"b":NaN}', [{"a": "1e999", "b": None}], id="numbers that are none"),
        pytest.param('{"a":' + "9" * 30 + "}", [{"a": "9" * 30}], id="larger than 64 bits"),
        pytest.param('{"a":' + "9" * 6_000 + "}", [{"a": "9" * 6_000}], id="larger than Python reads"),
        pytest.param('{"a":"x\ny"}', [{"a": "x\ny"}], id="a line break in a text"),
        pytest.param('<!-- {"a":[1,2,],} -->', [{"a": [1, 2]}], id="in a comment, with last commas"),
        pytest.param('{"@graph":{"a":1}}', [{"a": 1}], id="a graph of one"),
        pytest.param('[{"a":1},[{"b":2}],null,3]', [{"a": 1}], id="what is no object"),
        pytest.param(
            '{"author":[[],{},null,{"name":{}},{"@id":5}],"datePublished":{"@value":7}}', None, id="odd values"
        ),
        pytest.param('{"a":', [], id="broken"),
        pytest.param("", [], id="empty"),
    ],
)
def test_json_ld_of_any_kind_leaves_the_page_whole(script: str, kept: list[object] | None) -> None:
    page = _read(script)
    assert page.markdown == "Some text."
    assert (page.author, page.date) == ("", "")
    assert kept is None or page.json_ld == kept


def test_json_ld_has_a_bound() -> None:
    assert len(_read("[" + ",".join(['{"a":1}'] * 1_000) + "]").json_ld) == MAX_JSON_LD
    assert _read('{"a":"' + "x" * MAX_JSON_LD_CHARS + '"}').json_ld == []


def test_many_authors_have_a_bound() -> None:
    names = ",".join(f'{{"name":"Ann {number}"}}' for number in range(1_000))
    assert len(_read(f'{{"author":[{names}]}}').author) == MAX_AUTHOR_CHARS
