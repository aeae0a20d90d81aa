"""Pages that say who wrote them, when, and in which language, in the forms that the web has, labelled by hand."""

from dataclasses import dataclass

import trafilatura

from codeforge.web.extraction import extract_html

URL = "https://example.org/page"
TEXT = (
    "<p>The ferry to the islands sails again from Monday on, after three weeks in which nothing could land at the old "
    "pier. The harbour master said that the new one will be ready before the storms of autumn.</p>" * 3
)


@dataclass(frozen=True, slots=True)
class Described:
    """A page: what is in its head, and before its text; and what a reader would say of it. "" is for what it does not
    say."""

    name: str
    head: str
    title: str
    author: str = ""
    date: str = ""
    language: str = ""
    before: str = ""
    html: str = ""

    @property
    def source(self) -> str:
        """As it is served."""
        body = f"<main><article>{self.before}{TEXT}</article></main>"
        return f"<!doctype html><html{self.html}><head>{self.head}</head><body>{body}</body></html>"

    @property
    def labels(self) -> tuple[str, str, str]:
        """Title, author, date."""
        return self.title, self.author, self.date


def _ld(json: str, kind: str = "application/ld+json") -> str:
    return f'<script type="{kind}">{json}</script>'


PAGES = [
    Described(
        "OpenGraph",
        '<title>Ferry sails again | The Vard Courier</title><meta property="og:title" content="Ferry sails again">'
        '<meta property="article:published_time" content="2024-05-03T06:30:00+02:00"><meta name="author" '
        'content="Ann Lee"><meta property="article:modified_time" content="2024-05-09T06:30:00+02:00">',
        "Ferry sails again", "Ann Lee", "2024-05-03", "en-GB", html=' lang="en-GB"',
    ),
    Described(
        "JSON-LD, one author",
        "<title>Ferry sails again - The Vard Courier</title>"
        + _ld('{"@context":"https://schema.org","@type":"NewsArticle","headline":"Ferry sails again",'
              '"datePublished":"2024-05-03","dateModified":"2024-06-01","author":{"@type":"Person","name":"Ann Lee"}}'),
        "Ferry sails again", "Ann Lee", "2024-05-03",
    ),
    Described(
        "JSON-LD, list of authors",
        "<title>Ferry sails again</title>"
        + _ld('[{"@context":"https://schema.org","@type":"NewsArticle","headline":"Ferry sails again","datePublished":'
              '"2024-05-03T08:00:00Z","author":[{"@type":"Person","name":"Ann Lee"},{"name":"Bo Chan"}]}]'),
        "Ferry sails again", "Ann Lee; Bo Chan", "2024-05-03",
    ),
    Described(
        "JSON-LD, graph with references",
        "<title>Ferry sails again</title>"
        + _ld('{"@context":"https://schema.org","@graph":[{"@type":"WebSite","name":"Courier"},{"@type":"Article",'
              '"headline":"Ferry sails again","author":{"@id":"https://example.org/#/person/7"},"datePublished":'
              '"2024-05-03T08:00:00+00:00","inLanguage":"en-US"},{"@type":"Person","@id":"https://example.org/#/person/7",'
              '"name":"Ann Lee"}]}'),
        "Ferry sails again", "Ann Lee", "2024-05-03", "en-US",
    ),
    Described(
        "JSON-LD, comma too many and CDATA",
        "<title>Ferry sails again</title>"
        + _ld('//<![CDATA[\n{"@context":"https://schema.org","@type":"Article","author":{"name":"Ann Lee",},'
              '"datePublished":"2024-05-03",}\n//]]>'),
        "Ferry sails again", "Ann Lee", "2024-05-03",
    ),
    Described(
        "JSON-LD, broken, beside metas",
        '<title>Ferry sails again</title><meta name="author" content="Ann Lee"><meta name="date" content="2024-05-03">'
        + _ld('{"@type":"Article","author":"Nobody'),
        "Ferry sails again", "Ann Lee", "2024-05-03",
    ),
    Described(
        "JSON-LD with a charset",
        "<title>Ferry sails again</title>"
        + _ld('{"@context":"https://schema.org","@type":"Article","author":"Ann Lee","datePublished":"2024-05-03"}',
              "application/ld+json; charset=utf-8"),
        "Ferry sails again", "Ann Lee", "2024-05-03",
    ),
    Described(
        "Dublin Core",
        '<title>Tides of the sound</title><meta name="DC.creator" content="Ann Lee"><meta name="DCTERMS.issued" '
        'content="2024-05-03"><meta http-equiv="Content-Language" content="en, de">',
        "Tides of the sound", "Ann Lee", "2024-05-03", "en",
    ),
    Described(
        "citation metas",
        '<title>Tides of the sound</title><meta name="citation_author" content="Lee, Ann"><meta name="citation_author" '
        'content="Chan, Bo"><meta name="citation_publication_date" content="2024/05/03">',
        "Tides of the sound", "Lee, Ann; Chan, Bo", "2024-05-03",
    ),
    Described(
        "metas in capitals, By",
        '<title>Tides of the sound</title><META NAME="Author" CONTENT="By Ann Lee"><META NAME="Date" '
        'CONTENT="May 3, 2024">',
        "Tides of the sound", "Ann Lee", "2024-05-03",
    ),
    Described(
        "microdata",
        "<title>Tides of the sound</title>", "Tides of the sound", "Ann Lee", "2024-05-03", "nb-NO",
        html=' lang="nb_NO"',
        before='<p><span itemprop="author" itemscope><img alt="" src="/a.jpg"><span itemprop="name">Ann Lee</span> '
               'writes on the sea</span> <span itemprop="datePublished" content="2024-05-03">Friday</span></p>',
    ),
    Described(
        "time and rel=author",
        "<title>Tides of the sound</title>", "Tides of the sound", "Ann Lee", "2024-05-03",
        before='<p><a rel="author" href="/ann">Ann Lee</a>, <time datetime="2024-05-03T09:00">last Friday</time></p>',
    ),
    Described(
        "time without datetime, German",
        "<title>Die Gezeiten im Sund</title>", "Die Gezeiten im Sund", "Anne Lehr", "2024-03-03", "de",
        html=' lang="de"',
        before='<p><a rel="author" href="/a">Anne Lehr</a>, <time>3. März 2024</time></p>',
    ),
    Described(
        "classes alone",
        "<title>Tides of the sound</title>", "Tides of the sound", "Ann Lee", "2024-05-03",
        before='<p class="byline">By <span class="author">Ann Lee</span></p><p class="date">Published: 3 May 2024</p>',
    ),
    Described(
        "profile instead of a name",
        '<title>Tides of the sound</title><meta property="article:author" content="https://social.example/ann">'
        '<meta property="og:locale" content="en_US"><meta property="article:published_time" content="2024-05-03">',
        "Tides of the sound", "", "2024-05-03", "en-US",
    ),
    Described(
        "a day that is none",
        '<title>Tides of the sound</title><meta name="date" content="2024-13-45">'
        '<meta property="article:published_time" content="2024-05-03">',
        "Tides of the sound", "", "2024-05-03",
    ),
    Described(
        "nothing but a heading", "", "Tides of the sound", before="<h1>Tides of the sound</h1>",
    ),
    Described(
        "site in front, a name that is no by",
        '<title>Courier: Ferry sails again</title><meta property="og:title" content="Ferry sails again">'
        '<meta name="author" content="Von Berg, Ida"><meta property="og:published_time" content="2024-05-03">',
        "Ferry sails again", "Von Berg, Ida", "2024-05-03",
    ),
    Described(
        "part of a word",
        '<title>e-Books for all</title><meta property="og:title" content="Books for all">', "e-Books for all",
    ),
    Described(
        "heading with a dash of its own",
        '<title>Tides - a study</title><meta property="og:title" content="Tides - a study">', "Tides - a study",
    ),
]  # fmt: skip


def ours(page: Described) -> tuple[str, str, str]:
    """Title, author, date."""
    found = extract_html(page.source, URL).metadata
    return found.title, found.author, found.date


def theirs(page: Described) -> tuple[str, str, str]:
    """The same, as trafilatura finds them."""
    found = trafilatura.extract_metadata(page.source, default_url=URL)
    return found.title or "", found.author or "", found.date or ""
