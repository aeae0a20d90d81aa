"""What a page says about itself: title, author, date, language, JSON-LD."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, islice
from typing import Any, Final

from codeforge.web.dates import day_of
from codeforge.web.json_ld import json_ld_objects, texts_of

MAX_TITLE_CHARS: Final = 500
MAX_AUTHOR_CHARS: Final = 200

Metas = dict[str, list[str]]

_JSON_LD: Final = "application/ld+json"
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")
_SEPARATED: Final = re.compile(r"(?:\s[\u00b7\u2022\u00bb/\u2013\u2014-]|[|:])\s+$")
_SEPARATES: Final = re.compile(r"\s+[\u00b7\u2022\u00ab/\u2013\u2014-]\s|\s*\|")
_PUBLISHED: Final = re.compile(r"^(?:first )?(?:published|posted|veröffentlicht)(?: on| am)?[:\s]+", re.IGNORECASE)
_BY: Final = re.compile(r"^(?:written |posted )?by[:\s]+", re.IGNORECASE)

_AUTHOR_METAS: Final = (
    "author", "citation_author", "article:author", "dc.creator", "dcterms.creator", "parsely-author",
    "sailthru.author", "byl",
)  # fmt: skip
_DATE_METAS: Final = (
    "article:published_time", "og:published_time", "datepublished", "date", "dc.date", "dc.date.issued", "dcterms.date",
    "dcterms.issued", "dcterms.created", "citation_publication_date", "citation_date", "parsely-pub-date",
    "sailthru.date", "pubdate", "publishdate", "publish-date", "publication_date",
)  # fmt: skip
_LANGUAGE_METAS: Final = ("content-language", "og:locale", "language", "dc.language")
_AUTHOR_CLASSES: Final = frozenset({"author", "author-name", "byline", "byline-author", "p-author"})
_DATE_CLASSES: Final = frozenset(
    {"date", "published", "pubdate", "post-date", "entry-date", "publish-date", "dt-published"}
)
MAX_LINE_CHARS: Final = 60
"""Of a byline or a line with a date; longer texts of these classes are something else."""

_MARKED: Final = (
    "/descendant::*[@*][@itemprop or @rel='author' or @pubdate or @class[contains(., 'author') or contains(., 'byline')"
    " or contains(., 'date') or contains(., 'publish')]]"
)
"""All elements that may say who or when: asked for once, for a look at every element takes its time."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """`date` is when the page was published, as YYYY-MM-DD; `language` a BCP 47 tag as the page has it; "" for what it
    does not say. `json_ld` are its objects (https://www.w3.org/TR/json-ld11/), those in a graph each for itself."""

    title: str = ""
    author: str = ""
    date: str = ""
    language: str = ""
    json_ld: list[dict[str, Any]] = field(default_factory=list)


def metadata_of(tree: Any) -> Metadata:
    """Never fails: what cannot be read is left out."""
    scripts = (script for script in tree.iter("script") if (script.get("type") or "").lower().startswith(_JSON_LD))
    json_ld = json_ld_objects(script.text or "" for script in scripts)
    metas = _metas(tree)
    marked = [element for element in _found(tree, _MARKED) if element.tag != "meta"]
    return Metadata(
        _title(tree, metas, json_ld),
        _author(marked, metas, json_ld),
        _date(tree, marked, metas, json_ld),
        _language(tree, metas, json_ld),
        json_ld,
    )


def _metas(tree: Any) -> Metas:
    """The contents by name, in small letters: it is written in all ways."""
    metas: Metas = {}
    for meta in tree.iter("meta"):
        content = meta.get("content")
        for kind in ("name", "property", "itemprop", "http-equiv") if content else ():
            if name := meta.get(kind):
                metas.setdefault(name.lower(), []).append(content)
    return metas


def _of_metas(metas: Metas, names: tuple[str, ...]) -> Iterator[str]:
    return chain.from_iterable(metas.get(name, ()) for name in names)


def _lines(marked: list[Any], classes: frozenset[str]) -> Iterator[str]:
    """Short texts of the elements with one of the classes."""
    for element in marked:
        if classes & set((element.get("class") or "").split()):
            text = _spaced(element.text_content())
            if len(text) < MAX_LINE_CHARS:
                yield text


def _title(tree: Any, metas: Metas, json_ld: list[dict[str, Any]]) -> str:
    """The document's, without the site's name where the page tells what it is called without it."""
    headings = (heading.text_content() for heading in tree.iter("h1"))
    shared = metas.get("og:title", [])
    title = _first(chain(_found(tree, "//head//title/text()"), shared, headings))
    for named in map(_spaced, (*shared, *chain.from_iterable(texts_of(json_ld, "headline")))):
        before, within, behind = title.partition(named) if named else (title, "", "")
        if within and (not before or _SEPARATED.search(before)) and (not behind or _SEPARATES.match(behind)):
            return named[:MAX_TITLE_CHARS]
    return title[:MAX_TITLE_CHARS]


def _author(marked: list[Any], metas: Metas, json_ld: list[dict[str, Any]]) -> str:
    """All of them, parted by semicolons, from the first place that names any."""
    places = chain(
        texts_of(json_ld, "author"),
        texts_of(json_ld, "creator"),
        (metas.get(name, []) for name in _AUTHOR_METAS),
        # The first alone: those behind may have written comments.
        islice(([_name(element)] for element in marked if element.get("itemprop") in ("author", "creator")), 1),
        islice(([element.text_content()] for element in marked if element.get("rel") == "author"), 1),
        ([line] for line in _lines(marked, _AUTHOR_CLASSES)),
    )
    for place in places:
        # An address of a profile is no name.
        names = [_BY.sub("", _spaced(name)) for name in place if "://" not in name and not name.startswith("@")]
        if any(names):
            return "; ".join(dict.fromkeys(filter(None, names)))[:MAX_AUTHOR_CHARS]
    return ""


def _name(person: Any) -> str:
    """Of microdata: of the thing, or its text."""
    named = person.find(".//*[@itemprop='name']")
    return str((person if named is None else named).text_content())


def _date(tree: Any, marked: list[Any], metas: Metas, json_ld: list[dict[str, Any]]) -> str:
    said = (texts_of(json_ld, name) for name in ("datePublished", "dateCreated", "uploadDate"))
    times = chain(
        (one for one in marked if one.get("itemprop") == "datePublished" or one.get("pubdate") is not None),
        _found(tree, "//article//time | //main//time"),
    )
    shown = (time.get("datetime") or time.get("content") or time.text_content() for time in times)
    seen = (_PUBLISHED.sub("", _spaced(text)) for text in chain(shown, _lines(marked, _DATE_CLASSES)))
    candidates = chain(chain.from_iterable(chain.from_iterable(said)), _of_metas(metas, _DATE_METAS), seen)
    return next(filter(None, map(day_of, candidates)), "")


def _language(tree: Any, metas: Metas, json_ld: list[dict[str, Any]]) -> str:
    own = _found(tree, "/html/@lang", "/html/@*[local-name()='lang']")
    said = chain.from_iterable(texts_of(json_ld, "inLanguage"))
    candidates = chain(own, _of_metas(metas, _LANGUAGE_METAS), said)
    tags = (candidate.partition(",")[0].strip() for candidate in candidates)
    return next((tag.replace("_", "-") for tag in tags if _LANGUAGE.fullmatch(tag)), "")


def _found(tree: Any, *paths: str) -> Iterator[Any]:
    """What the XPaths find, one after the other, as far as it is asked for."""
    return chain.from_iterable(_compiled(path)(tree) for path in paths)


@cache
def _compiled(path: str) -> Any:
    from lxml import etree

    return etree.XPath(path)


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _first(candidates: Iterable[str]) -> str:
    return next(filter(None, map(_spaced, candidates)), "")
