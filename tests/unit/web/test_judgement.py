"""Whether a page is what its reader would see, over pages of each kind."""

import pytest

from codeforge.web.extraction import extract_html
from codeforge.web.judgement import Finding, is_challenge, judge
from tests.servers.unrendered import CHALLENGES, COMPLETE, NOTICES, SHELLS, SKELETONS, WALLS

LACKS = {
    **dict.fromkeys(SHELLS, "application_shell"),
    **dict.fromkeys(NOTICES, "noscript_notice"),
    **dict.fromkeys(CHALLENGES, "challenge"),
    **dict.fromkeys(WALLS, "consent_wall"),
    **dict.fromkeys(SKELETONS, "little_text"),
}
PAGES = {**SHELLS, **NOTICES, **CHALLENGES, **WALLS, **SKELETONS}


def judged(html: str) -> Finding | None:
    return judge(html, len(extract_html(html, "https://example.org/").markdown))


@pytest.mark.parametrize("name", LACKS)
def test_what_a_page_lacks(name: str) -> None:
    finding = judged(PAGES[name])
    assert finding is not None
    assert finding.lack == LACKS[name]
    assert finding.text.startswith("the page ")


@pytest.mark.parametrize("name", COMPLETE)
def test_a_page_that_has_what_it_promises_is_left_alone(name: str) -> None:
    assert judged(COMPLETE[name]) is None


@pytest.mark.parametrize("html", ["", "<", "\x00", "<html>" * 500, "<!-- -->", "plain words"])
def test_no_markup_raises(html: str) -> None:
    assert judge(html, 0) is None
    assert not is_challenge({}, html)


def test_much_text_is_never_doubted() -> None:
    assert judge(PAGES["/app/react"], 1_500) is None


@pytest.mark.parametrize("name", CHALLENGES)
def test_a_refusal_may_be_a_challenge(name: str) -> None:
    assert is_challenge({}, CHALLENGES[name])


def test_a_refusal_is_a_challenge_by_its_mark_and_else_is_none() -> None:
    assert is_challenge({"cf-mitigated": "challenge"}, "")
    assert not is_challenge({"server": "cloudflare"}, "<title>403 Forbidden</title><h1>Forbidden</h1>")
