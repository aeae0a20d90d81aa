"""What a page says about itself: title, author, date, language, JSON-LD."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import Any, Final

MAX_TITLE_CHARS: Final = 500
MAX_AUTHOR_CHARS: Final = 200
MAX_JSON_LD: Final = 20
MAX_JSON_LD_CHARS: Final = 50_000
"""Of all objects of a page together, as JSON."""

_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")
_DATE: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ].*)?")


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
    json_ld = _json_ld(tree)
    return Metadata(_title(tree), _author(tree, json_ld), _date(tree, json_ld), _language(tree), json_ld)


def _title(tree: Any) -> str:
    headings = (heading.text_content() for heading in tree.iter("h1"))
    named = _found(tree, "//head//title/text()", "//meta[@property='og:title']/@content")
    return _first(chain(named, headings))[:MAX_TITLE_CHARS]


def _author(tree: Any, json_ld: list[dict[str, Any]]) -> str:
    named = _found(tree, "//meta[@name='author' or @property='article:author' or @name='citation_author']/@content")
    linked = (link.text_content() for link in _found(tree, "//*[@rel='author' or @itemprop='author']"))
    # An address of a profile is no name.
    given = (name for name in chain(_of_json_ld(json_ld, "author"), named, linked) if "://" not in name)
    return _first(given)[:MAX_AUTHOR_CHARS]


def _date(tree: Any, json_ld: list[dict[str, Any]]) -> str:
    marked = _found(
        tree,
        "//meta[@property='article:published_time' or @name='date' or @name='dc.date' or @name='DC.date.issued'"
        " or @itemprop='datePublished' or @name='citation_publication_date']/@content",
        "//time[@pubdate or @itemprop='datePublished']/@datetime",
        "//article//time/@datetime | //main//time/@datetime",
    )
    candidates = chain(_of_json_ld(json_ld, "datePublished"), marked)
    matches = (_DATE.fullmatch(candidate.strip().replace("/", "-")) for candidate in candidates)
    return next((match[1] for match in matches if match), "")


def _language(tree: Any) -> str:
    candidates = _found(
        tree,
        "/html/@lang",
        "/html/@*[local-name()='lang']",
        "//meta[translate(@http-equiv, 'CONTEL-AGU', 'contel-agu')='content-language']/@content",
        "//meta[@property='og:locale']/@content",
    )
    tags = (candidate.strip() for candidate in candidates)
    return next((tag.replace("_", "-") for tag in tags if _LANGUAGE.fullmatch(tag)), "")


def _json_ld(tree: Any) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    room = MAX_JSON_LD_CHARS
    for script in _found(tree, "//script[@type='application/ld+json']/text()"):
        if len(script) > 2 * MAX_JSON_LD_CHARS:
            continue
        try:
            parsed = json.loads(script, strict=False, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            continue
        for one in _objects(parsed):
            room -= len(json.dumps(one))
            if room < 0 or len(kept) == MAX_JSON_LD:
                return kept
            kept.append(one)
    return kept


def _objects(parsed: Any) -> list[dict[str, Any]]:
    listed = parsed if isinstance(parsed, list) else [parsed]
    objects: list[dict[str, Any]] = []
    for one in listed:
        graph = one.get("@graph") if isinstance(one, dict) else None
        objects += graph if isinstance(graph, list) else [one]
    return [one for one in objects if isinstance(one, dict)]


def _of_json_ld(json_ld: list[dict[str, Any]], name: str) -> list[str]:
    """The values of a property, or the names of the things that it has."""
    found: list[str] = []
    for one in json_ld:
        value = one.get(name)
        for item in value if isinstance(value, list) else [value]:
            text = item.get("name") if isinstance(item, dict) else item
            if isinstance(text, str):
                found.append(text)
    return found


def _found(tree: Any, *paths: str) -> Iterator[Any]:
    """What the XPaths find, one after the other, as far as it is asked for."""
    return chain.from_iterable(_compiled(path)(tree) for path in paths)


@cache
def _compiled(path: str) -> Any:
    from lxml import etree

    return etree.XPath(path)


def _first(candidates: Iterable[str]) -> str:
    texts = (" ".join(candidate.split()) for candidate in candidates)
    return next((text for text in texts if text), "")
