"""Title, Markdown and links of pages."""

import hashlib
import subprocess
import sys
import time

import pytest

from codeforge.errors import FetchError
from codeforge.results import Page
from codeforge.web.charset import decode
from codeforge.web.document import MAX_TEXT_BYTES, Download, to_page
from codeforge.web.extraction import (
    MAX_LINKS,
    MAX_LINKS_CHARS,
    Extract,
    extract_html,
    extract_text,
)
from codeforge.web.media_type import MediaType
from codeforge.web.metadata import MAX_TITLE_CHARS
from tests.servers.articles import BICYCLE, article, topic_page

URL = "https://example.org/dir/page"


def extract(body: str, head: str = "") -> Extract:
    return extract_html(f"<!DOCTYPE html><html><head>{head}</head><body>{body}</body></html>", URL)


def test_an_article_becomes_markdown_without_navigation() -> None:
    found = extract_html(topic_page("/bicycle"), URL)
    assert found.title == "Mending a bicycle by the road"
    assert found.markdown.startswith("# Mending a bicycle by the road\n\nA puncture")
    assert "- Never use a screwdriver on the rim." in found.markdown
    assert "Front page" not in found.markdown
    assert "A page for tests" not in found.markdown
    assert found.links == ["https://example.org/", "https://example.org/bread", "https://example.org/volcano"]
    assert found.content_hash == hashlib.sha256(found.markdown.encode()).hexdigest()


def test_links_tables_and_formatting_are_kept() -> None:
    filler = "<p>This paragraph has enough words in it to count as content for anyone who looks at it closely.</p>" * 3
    found = extract(
        f"<main><h1>Guide</h1>{filler}<p>See <a href='other#part'>the <b>other</b> page</a> and <em>mind</em> "
        "<code>x = 1</code>.</p><table><tr><th>Name</th><th>Size</th></tr><tr><td>alpha</td><td>1</td></tr></table>"
        "<pre><code>def f():\n    return 1</code></pre></main>"
    )
    assert "(https://example.org/dir/other#part)" in found.markdown
    assert "*mind*" in found.markdown
    assert "`x = 1`" in found.markdown
    assert "| alpha | 1 |" in found.markdown
    assert "    return 1" in found.markdown


@pytest.mark.parametrize(
    ("body", "markdown"),
    [
        ("<p>Just this.</p>", "Just this."),
        ("Bare words", "Bare words"),
        (
            "<h1>Hi</h1><p>A small <a href='/b'>page</a>.</p><p>More</p>",
            "# Hi\n\nA small [page](https://example.org/b).\n\nMore",
        ),
        ("<script>x()</script><style>p{}</style><noscript>No</noscript><p>Seen</p>", "Seen"),
        ("", ""),
        ("<!-- nothing -->", ""),
    ],
)
def test_tiny_pages_give_their_whole_text(body: str, markdown: str) -> None:
    assert extract(body).markdown == markdown


@pytest.mark.parametrize("text", ["", "   ", "<!-- -->", "<?xml version='1.0'?>", "<", "&", "\ufffd", "<html>"])
def test_markup_that_is_no_document_gives_an_extract(text: str) -> None:
    found = extract_html(text, URL)
    assert found.links == []
    assert found.title == ""


def test_character_references_to_no_character_do_no_harm() -> None:
    found = extract("<p>&#xD800; &#0; &#x1F600; &#xFFFFFFFF;</p>", "<title>&#xDC00;</title>")
    assert "\U0001f600" in found.markdown
    assert found.title == "\ufffd"


def test_what_a_page_has_wrong_with_it_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    extract("<a>no address</a>" + "<p>Some words of some paragraph that go on for a while.</p>" * 9)
    assert caplog.records == []


def test_xhtml_that_declares_an_encoding_is_read() -> None:
    found = extract_html('<?xml version="1.0" encoding="iso-8859-1"?><html><body><p>Caf\xe9</p></body></html>', URL)
    assert found.markdown == "Caf\xe9"


@pytest.mark.parametrize(
    ("head", "body", "title"),
    [
        ("<title> Two\n words </title>", "<h1>Other</h1>", "Two words"),
        ("<meta property='og:title' content='Shared'>", "<h1>Other</h1>", "Shared"),
        ("<title></title>", "<h1>Only <i>this</i></h1>", "Only this"),
        ("", "<svg><title>Icon</title></svg><p>x</p>", ""),
        ("<title>" + "x" * 600 + "</title>", "", "x" * MAX_TITLE_CHARS),
    ],
)
def test_titles(head: str, body: str, title: str) -> None:
    assert extract(body, head).title == title


def test_links_are_absolute_without_fragments_each_once_in_order() -> None:
    hrefs = ["/b", "/a", "/b#x", "c?q=1#y", "", "#top", "../up", "//other.example/z", "HTTP://example.org/B", "x y"]
    left_out = ["mailto:a@b.example", "javascript:alert(1)", "data:text/html,x", "ftp://f.example/", "http://[broken"]
    body = "".join(f'<a href="{href}">x</a>' for href in hrefs + left_out) + '<map><area href="/map"></map><a>none</a>'
    assert extract(body).links == [
        "https://example.org/b",
        "https://example.org/a",
        "https://example.org/dir/c?q=1",
        "https://example.org/dir/page",
        "https://example.org/up",
        "https://other.example/z",
        "http://example.org/B",
        "https://example.org/dir/x y",
        "https://example.org/map",
    ]


@pytest.mark.parametrize(
    ("href", "path"),
    [
        ("/", "/"),
        ("/a/b.html", "/a/b.html"),
        ("/~a/b%20c/", "/~a/b%20c/"),
        ("/a/../b", "/b"),
        ("/a/./b/..", "/a/"),
        ("/..", "/"),
        ("/a//b", "/a//b"),
        ("/a?", "/a"),
        ("/a#", "/a"),
    ],
)
def test_paths_from_the_root(href: str, path: str) -> None:
    assert extract(f"<a href='{href}'>x</a>").links == [f"https://example.org{path}"]


@pytest.mark.parametrize(
    ("base", "link"),
    [
        ("https://cdn.example/docs/", "https://cdn.example/docs/rel"),
        ("/top/", "https://example.org/top/rel"),
        ("sub/", "https://example.org/dir/sub/rel"),
        ("javascript:0", "https://example.org/dir/rel"),
        ("http://[broken", "https://example.org/dir/rel"),
    ],
)
def test_base_href_is_honoured(base: str, link: str) -> None:
    assert extract("<a href='rel'>x</a>", f'<base href="{base}">').links == [link]


def test_the_number_of_links_is_bounded() -> None:
    found = extract("".join(f'<a href="/{number}">x</a> ' for number in range(MAX_LINKS + 10)))
    assert len(found.links) == MAX_LINKS


@pytest.mark.parametrize(
    "body",
    [
        "<a href='/q'>x</a>" * 200_000,
        "<div>" * 100_000 + "deep",
        "<table><tr><td>" * 50_000,
        "<p>" + "&amp;" * 1_000_000,
    ],
    ids=["many links", "deep", "nested tables", "entities"],
)
def test_hostile_markup_is_done_with_in_time(body: str) -> None:
    started = time.process_time()  # other processes may have the machine meanwhile
    extract(body)
    assert time.process_time() - started < 15


@pytest.mark.parametrize("elements", ["<div>", "<font><b>"])
def test_what_follows_many_open_elements_is_read(elements: str) -> None:
    found = extract(elements * 400 + "<p>Down <a href='/below'>here</a>.</p>")
    assert found.markdown == "Down here."
    assert found.links == ["https://example.org/below"]


def test_plain_text_is_kept_and_a_heading_is_the_title() -> None:
    assert extract_text("  # Note #\n\nText\n").markdown == "# Note #\n\nText"
    assert extract_text("# Note\n\nText").title == "Note"
    assert extract_text("#hashtag\nText").title == ""
    assert extract_text("").markdown == ""


@pytest.mark.parametrize(
    ("body", "declared", "text"),
    [
        (b"\xef\xbb\xbfcaf\xc3\xa9", "iso-8859-1", "caf\xe9"),
        (b"\xff\xfec\x00a\x00", None, "ca"),
        (b"\xfe\xff\x00c\x00a", "utf-8", "ca"),
        (b"caf\xe9 \x80", "latin1", "caf\xe9 \u20ac"),
        (b"caf\xe9", "ISO-8859-1", "caf\xe9"),
        (b"\x95\xb6\x8e\x9a", "Shift_JIS", "\u6587\u5b57"),
        (b"\xcf\xf0\xe8\xe2\xe5\xf2", "windows-1251", "\u041f\u0440\u0438\u0432\u0435\u0442"),
        (b"caf\xc3\xa9", None, "caf\xe9"),
        (b"caf\xe9", None, "caf\xe9"),
        (b"caf\xe9", "utf-8", "caf\ufffd"),
        (b"caf\xc3\xa9", "no-such-charset", "caf\xe9"),
        (b"aGVsbG8=", "base64", "aGVsbG8="),
        (b"a\x00b\x07c\r\nd\re", None, "abc\nd\ne"),
        (b'<meta charset="windows-1251">\xcf', None, '<meta charset="windows-1251">\u041f'),
        (b'<meta http-equiv=Content-Type content="text/html; charset=koi8-r">\xf0', None, None),
        (b'<meta charset="utf-16">caf\xc3\xa9', None, '<meta charset="utf-16">caf\xe9'),
    ],
)
def test_character_sets_are_found_as_browsers_find_them(body: bytes, declared: str | None, text: str | None) -> None:
    decoded = decode(body, declared, html=True)
    assert decoded == text if text is not None else decoded.endswith("\u041f")


def test_meta_counts_in_html_only() -> None:
    assert decode(b'<meta charset="windows-1251">\xcf', None, html=False).endswith("\xcf")


@pytest.mark.parametrize(
    ("header", "name", "charset"),
    [
        ("text/html", "text/html", None),
        ("Text/HTML; Charset=UTF-8", "text/html", "UTF-8"),
        ('text/html; x=y; charset="koi8-r"', "text/html", "koi8-r"),
        ("text/html; charset=", "text/html", None),
        ("", "", None),
    ],
)
def test_content_types(header: str, name: str, charset: str | None) -> None:
    assert MediaType.parse(header) == MediaType(name, charset)


def test_a_missing_type_is_told_from_the_body() -> None:
    assert MediaType("").settled(article("x", BICYCLE).encode()).html
    assert MediaType("").settled(b"words").name == "text/plain"
    assert not MediaType("").settled(b"\x00\x01").readable


def test_the_parsers_are_not_imported_before_the_first_page() -> None:
    """They take memory that processes which never scrape need not pay."""
    code = (
        "import sys, codeforge.web.fetcher, workers.scrape; "
        "print(sorted({'trafilatura', 'lxml', 'justext', 'html_to_markdown', 'pypdfium2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_the_length_of_links_is_bounded() -> None:
    body = "".join(f'<a href="/{number}/{"x" * 1_900}">x</a> ' for number in range(1_000))
    found = extract(body)
    assert sum(map(len, found.links)) <= MAX_LINKS_CHARS
    assert len(found.links) > 200
    assert extract(f"<a href='/{'x' * 3_000}'>x</a>").links == []


def test_a_page_with_too_much_text_is_refused() -> None:
    def page(size: int) -> Page:
        return to_page(Download(URL, URL, 200, MediaType("text/plain"), b"\xe9" * size))

    assert len(page(MAX_TEXT_BYTES // 2).markdown) == MAX_TEXT_BYTES // 2
    with pytest.raises(FetchError) as caught:
        page(MAX_TEXT_BYTES // 2 + 1)
    assert caught.value.code == "too_large"
