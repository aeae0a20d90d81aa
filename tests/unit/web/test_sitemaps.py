"""Sitemaps in every form, and what is none."""

import asyncio
import gzip
import threading

import pytest

from codeforge.errors import FetchError
from codeforge.web import sitemaps
from codeforge.web.sitemaps import MAX_BYTES, MAX_SITEMAPS, parse_sitemap, sitemap_urls

SITE = "https://site.example"
SPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def pages_xml(*urls: str) -> bytes:
    places = "".join(f"<url><loc> {url} </loc><priority>1</priority></url>" for url in urls)
    return f'<?xml version="1.0" encoding="UTF-8"?><urlset {SPACE}>{places}</urlset>'.encode()


def index_xml(*urls: str) -> bytes:
    places = "".join(f"<sitemap><loc>{url}</loc></sitemap>" for url in urls)
    return f"<sitemapindex {SPACE}>{places}</sitemapindex>".encode()


def read(files: dict[str, bytes], *starts: str, limit: int = 100) -> tuple[list[str], list[str]]:
    asked: list[str] = []

    async def download(url: str, deadline: float) -> bytes:
        asked.append(url)
        if url not in files:
            raise FetchError("not there", code="http_status", url=url)
        return files[url]

    return asyncio.run(sitemap_urls(starts, download, limit=limit, deadline=1e9)), asked


def test_an_index_its_parts_and_each_page_once() -> None:
    files = {
        f"{SITE}/sitemap.xml": index_xml(
            f"{SITE}/1.xml", f"{SITE}/2.xml.gz", f"{SITE}/gone.xml", f"{SITE}/sitemap.xml"
        ),
        f"{SITE}/1.xml": pages_xml(f"{SITE}/a", f"{SITE}/b"),
        f"{SITE}/2.xml.gz": gzip.compress(pages_xml(f"{SITE}/b", "/c")),
    }
    found, asked = read(files, f"{SITE}/sitemap.xml")
    assert found == [f"{SITE}/a", f"{SITE}/b", f"{SITE}/c"]
    assert asked == [f"{SITE}/sitemap.xml", f"{SITE}/1.xml", f"{SITE}/2.xml.gz", f"{SITE}/gone.xml"]


def test_bounds() -> None:
    many = {f"{SITE}/{n}.xml": index_xml(f"{SITE}/{n + 1}.xml") for n in range(50)}
    assert len(read(many, f"{SITE}/0.xml")[1]) == MAX_SITEMAPS
    large = {f"{SITE}/s.xml": pages_xml(*(f"{SITE}/{n}" for n in range(500)))}
    assert len(read(large, f"{SITE}/s.xml", limit=7)[0]) == 7


def test_no_more_of_a_file_is_looked_at_than_a_sitemap_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemaps, "MAX_PLACES", 3)
    addresses = [f"{SITE}/{n}" for n in range(5)]
    assert parse_sitemap(pages_xml(*addresses), SITE)[0] == addresses[:3]
    assert parse_sitemap("\n".join(addresses).encode(), SITE)[0] == addresses[:3]


def test_an_address_is_the_text_of_its_own_place() -> None:
    body = f"<urlset><url><loc>{SITE}/a<!-- b -->c</loc></url><url><loc><loc>{SITE}/d</loc></loc></url></urlset>"
    assert parse_sitemap(body.encode(), SITE)[0] == [f"{SITE}/ac"]


def test_other_work_goes_on_while_a_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    went_on = threading.Event()

    def slow(body: bytes, address: str) -> tuple[list[str], list[str]]:
        return ([f"{SITE}/a"] if went_on.wait(30.0) else []), []

    async def download(url: str, deadline: float) -> bytes:
        asyncio.get_running_loop().call_soon(went_on.set)
        return b""

    monkeypatch.setattr(sitemaps, "parse_sitemap", slow)
    assert asyncio.run(sitemap_urls([f"{SITE}/s.xml"], download, limit=5, deadline=1e9)) == [f"{SITE}/a"]


def test_a_list_of_lines_is_a_sitemap_too() -> None:
    assert parse_sitemap(b"https://site.example/a\n\nhttps://site.example/b\r\nmailto:x\n", SITE)[0] == [
        f"{SITE}/a",
        f"{SITE}/b",
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<",
        b"<html><body><p>Not found</p></body></html>",
        b"\x1f\x8bbroken",
        b"<urlset><url><loc></loc></url><url><loc>javascript:alert(1)</loc></url><loc>https://a.example/</loc></urlset>",
        b"<urlset><url><loc>file:///etc/passwd</loc></url><url><loc>https://[broken</loc></url></urlset>",
    ],
)
def test_what_names_nothing(body: bytes) -> None:
    assert parse_sitemap(body, f"{SITE}/sitemap.xml") == ([], [])


def test_no_entity_is_resolved_and_no_bomb_goes_off() -> None:
    entity = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><urlset><url><loc>https://a.example/&e;</loc></url></urlset>'
    assert "root:" not in str(parse_sitemap(entity, SITE))
    laughs = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
    bomb = f'<!DOCTYPE x [<!ENTITY l0 "lol">{laughs}]><urlset><url><loc>https://a.example/&l9;</loc></url></urlset>'
    assert len(str(parse_sitemap(bomb.encode(), SITE))) < 10_000
    assert parse_sitemap(gzip.compress(b" " * (4 * MAX_BYTES)), SITE) == ([], [])
