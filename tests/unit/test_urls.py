"""One spelling for one address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeforge.urls import canonical_url, is_web_url


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("HTTPS://Example.ORG", "https://example.org/"),
        ("https://example.org:443/a", "https://example.org/a"),
        ("http://example.org:80", "http://example.org/"),
        ("http://example.org:", "http://example.org/"),
        ("http://example.org:443/", "http://example.org:443/"),
        ("https://example.org:8443/", "https://example.org:8443/"),
        ("https://example.org/A/B?Q=X&a=%7e#part", "https://example.org/A/B?Q=X&a=%7e"),
        ("https://example.org?q=1", "https://example.org/?q=1"),
        ("https://example.org/?", "https://example.org/?"),
        ("http://[2001:DB8::1]:80/x", "http://[2001:db8::1]/x"),
        ("http://[2001:DB8::1]", "http://[2001:db8::1]/"),
        ("https://User:Word@Example.org/", "https://User:Word@example.org/"),
        ("mailto:Someone@Example.org#x", "mailto:Someone@Example.org"),
        ("http://[broken/", "http://[broken/"),
        (" https://example.org/a #part", "https://example.org/a"),
        ("http\u017f://example.org:443", "http\u017f://example.org:443"),  # an s for patterns that ignore case
        ("", ""),
    ],
)
def test_canonical_url(url: str, canonical: str) -> None:
    assert canonical_url(url) == canonical


@given(
    st.one_of(
        st.text(),
        st.text().map("http://{}".format),
        st.text(alphabet="hHtTpPsS:/@[]?#aA0123456789.").map("https://{}".format),
    )
)
def test_a_canonical_url_is_its_own(url: str) -> None:
    once = canonical_url(url)

    assert canonical_url(once) == once


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://example.org/", True),
        ("HTTP://example.org", True),
        ("https:///nowhere", False),
        ("http\u017f://example.org", False),
        ("mailto:someone@example.org", False),
        ("javascript:alert(1)", False),
        ("/relative", False),
    ],
)
def test_is_web_url(url: str, page: bool) -> None:
    assert is_web_url(url) is page
