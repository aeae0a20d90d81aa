"""Whether a page that was fetched plainly is what a reader would see, judged by the page itself.

Pure functions over HTML text. A page that brought its text is never doubted: everything here is about pages with little
to read. Server headers and product names decide nothing, but for the one header by which Cloudflare marks its own
challenges (https://developers.cloudflare.com/cloudflare-challenges/challenge-types/challenge-pages/detect-response/).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Lack = Literal["challenge", "consent_wall", "noscript_notice", "application_shell", "little_text"]

ENOUGH_CHARS: Final = 1_500
"""A page with so much text is taken as it is."""

WALL_CHARS: Final = 600
"""Challenges and empty applications say no more than this."""

LITTLE_CHARS: Final = 250
LARGE_HTML_CHARS: Final = 10_000
MAX_HTML_CHARS: Final = 2_000_000
"""Longer HTML is cut before it is judged; what tells is at its beginning."""

_CHALLENGE_TITLES = re.compile(
    r"^(just a moment|attention required|ddos-guard|checking your browser|please wait|verifying you are human|"
    r"are you (a )?(human|robot)|security check|bot verification|human verification|pardon our interruption)",
    re.I,
)
_CHALLENGE_MARKS = re.compile(
    r"cdn-cgi/challenge-platform|cf-chl|__cf_chl|_incapsula_resource|captcha-delivery\.com|px-captcha|perimeterx|"
    r"ddos-guard|challenges\.cloudflare\.com|awswafcaptcha|aws-waf-token|hcaptcha\.com/|recaptcha/(api|enterprise)\.js|"
    r"geo\.captcha|verify you are (a )?human|unusual traffic from your",
    re.I,
)
_WANTS_SCRIPTS = re.compile(
    r"(enable|activate|turn on|requires?|need|without) (\w+ ){0,4}javascript|"
    r"javascript (\w+ ){0,4}(required|disabled|enabled|deaktiviert|aktivieren)",
    re.I,
)
_CONSENT_NAMES = re.compile(r"consent|cookie|gdpr|onetrust|didomi|usercentrics|\bcmp\b|cmp-|-cmp|privacy-wall", re.I)
_CONSENT_WORDS = re.compile(r"cookie|consent|einwillig|zustimm|datenschutz|privacy|personal data", re.I)
_CONSENT_BUTTONS = re.compile(r"accept|agree|allow all|akzeptier|zustimm|accepter|aceptar|accetta", re.I)
_ROOTS = (
    "//*[@id='root' or @id='app' or @id='__next' or @id='__nuxt' or @id='___gatsby' or @id='svelte' or @id='main-app'"
    " or @id='react-root' or @data-reactroot or self::app-root or @id='ember-app' or @ng-app]"
)
_UNSEEN = ("script", "style", "noscript", "template", "svg")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a page lacks, and the sentence that says so to a client."""

    lack: Lack
    text: str


def judge(html: str, extracted_chars: int) -> Finding | None:
    """What keeps the page from being what a reader would see; None where nothing does.

    `extracted_chars` is how much text extraction found. Blocks for milliseconds.
    """
    if extracted_chars >= ENOUGH_CHARS:
        return None
    tree = _parse(html[:MAX_HTML_CHARS])
    if tree is None:
        return None
    title = " ".join(tree.xpath("string(//title)").split())
    scripts = len(tree.xpath("//script"))
    notices = " ".join(" ".join(tree.xpath("//noscript//text()")).split())
    wall = _consent_text(tree)
    seen = _visible_text(tree)
    if len(seen) <= WALL_CHARS and _is_challenge(title, html):
        return Finding("challenge", "the page is a challenge to prove that its reader is human")
    if wall and len(seen) - len(wall) < LITTLE_CHARS:
        return Finding("consent_wall", "the page shows nothing but a request for consent")
    return _unrendered(tree, seen, notices, scripts, len(html))


def is_challenge(headers: Mapping[str, str], html: str) -> bool:
    """Whether an answer that is no page (403, 429, 503) is a challenge, not a refusal. `headers` have small names."""
    if headers.get("cf-mitigated", "").lower() == "challenge":
        return True
    tree = _parse(html[:MAX_HTML_CHARS])
    if tree is None:
        return False
    title = " ".join(tree.xpath("string(//title)").split())
    return len(_visible_text(tree)) <= WALL_CHARS and _is_challenge(title, html)


def _unrendered(tree: Any, seen: str, notices: str, scripts: int, html_chars: int) -> Finding | None:
    """Pages that wait for their scripts."""
    if not scripts:
        return None
    roots = tree.xpath(_ROOTS)
    if roots and len(seen) <= WALL_CHARS and all(len(_text(root)) < LITTLE_CHARS for root in roots):
        return Finding("application_shell", "the page is an empty application that its scripts fill")
    if len(seen) <= WALL_CHARS and _WANTS_SCRIPTS.search(f"{notices} {seen}"):
        return Finding("noscript_notice", "the page says that it needs JavaScript")
    if html_chars >= LARGE_HTML_CHARS and len(seen) < max(LITTLE_CHARS, html_chars // 200):
        return Finding("little_text", "the page has far less text than its HTML promises")
    return None


def _is_challenge(title: str, html: str) -> bool:
    return _CHALLENGE_TITLES.search(title) is not None or _CHALLENGE_MARKS.search(html) is not None


def _consent_text(tree: Any) -> str:
    """The words of what asks for consent, if the page holds such a thing, with a button to agree."""
    for element in tree.iter("div", "section", "dialog", "form", "aside", "main"):
        if not _CONSENT_NAMES.search(f"{element.get('id', '')} {element.get('class', '')}"):
            continue
        text = _text(element)
        if _CONSENT_WORDS.search(text) and any(
            _CONSENT_BUTTONS.search(_text(button) + (button.get("value") or ""))
            for button in element.iter("button", "a", "input")
        ):
            return text
    return ""


def _visible_text(tree: Any) -> str:
    """The body's words without what no reader sees. Takes those elements out of the tree."""
    for unseen in tree.xpath(" | ".join(f"//body//{name}" for name in _UNSEEN)):
        unseen.drop_tree()
    bodies = tree.xpath("//body")
    return _text(bodies[0]) if bodies else ""


def _text(element: Any) -> str:
    return " ".join(element.text_content().split())


def _parse(text: str) -> Any:
    from lxml import etree, html

    parser = html.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=True)
    try:
        return html.document_fromstring(text.encode(errors="replace"), parser=parser)
    except (etree.LxmlError, ValueError):
        return None
